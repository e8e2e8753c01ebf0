// What the kernel says of this host's interfaces, addresses and routes, for the choice of the one between hosts.
import { familyOf, type Family, type Ip } from '../../model/ip.ts'

export interface HostInterface {
  readonly index: number
  readonly name: string
  readonly mtuBytes: number
  /** In the kernel's order. */
  readonly addresses: readonly HostAddress[]
}
export interface HostAddress {
  readonly ip: Ip
  /** Configured, not leased or generated (IFA_F_PERMANENT). */
  readonly permanent: boolean
  /** Generated for privacy, to be replaced soon; of IPv4: not the first of its prefix on the interface. */
  readonly temporary: boolean
  readonly deprecated: boolean
}
export interface HostRoute {
  /** Undefined for a route through several nexthops. */
  readonly linkIndex: number | undefined
  /** The source address the kernel would use. */
  readonly source: Ip | undefined
}
export interface HostView {
  /** In index order. */
  readonly interfaces: readonly HostInterface[]
  /** The default route of the main table with the least metric. */
  defaultRoute(family: Family): HostRoute | undefined
  /** How packets to `ip` would leave. */
  route(ip: Ip): HostRoute | undefined
}

/**
 * Addresses that other hosts may use, the best first: global before link-local, permanent before dynamic, lasting before
 * temporary (flannel iface.go:335-359). Deprecated ones never, nor those of no single host on a network.
 */
export function usable(addresses: readonly HostAddress[], family: Family): Ip[] {
  const rank = (a: HostAddress) => (isLinkLocal(a.ip) ? 4 : 0) + (a.permanent ? 0 : 2) + (a.temporary ? 1 : 0)
  return addresses
    .filter((a) => familyOf(a.ip) === family && !a.deprecated && !isNoHosts(a.ip))
    .sort((a, b) => rank(a) - rank(b))
    .map((a) => a.ip)
}

/** As Go's IsLinkLocalUnicast: 169.254.0.0/16, fe80::/10. */
export const isLinkLocal = (ip: Ip): boolean => /^(?:169\.254\.|fe[89ab][\da-f]:)/.test(ip)
/** Unspecified, loopback, multicast, broadcast. */
const isNoHosts = (ip: Ip): boolean =>
  /^(?:127\.|22[4-9]\.|23\d\.|ff[\da-f]{2}:)/.test(ip) ||
  ['0.0.0.0', '255.255.255.255', '::', '::1'].includes(ip)
