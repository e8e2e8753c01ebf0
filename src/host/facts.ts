// What of this host decides which of its kernel settings are wanted: read from the kernel, and changed by nobody here.
import { cpus } from 'node:os'
import { FAMILIES, isIPv4, type Family } from '../model/ip.ts'
import { IFA_F, listAddresses, parseAddress, SCOPE } from '../netlink/address.ts'
import { isMissing, isRefused } from '../netlink/error.ts'
import { listLinks, parseLink } from '../netlink/link.ts'
import { getChain, getTable } from '../netlink/nftables/table.ts'
import { dumpRoutes } from '../netlink/route-info.ts'
import { PROTOCOL } from '../netlink/route.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import { isSysError } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { readNumber } from '../sys/sysctl.ts'
import { XtablesError } from '../xtables/error.ts'
import { LegacyTables } from '../xtables/legacy.ts'

export interface HostFacts {
  readonly cores: number
  /** Whether this kernel has IPv6 at all. */
  readonly hasIpv6: boolean
  /** net.ipv6.conf.all.forwarding. */
  readonly forwardsIpv6: boolean
  /** net.ipv4.conf.all.rp_filter. */
  readonly rpFilterOfAll: number
  /** Links that take IPv6 routes or addresses from router advertisements, and will not once the host forwards. */
  readonly advertisedTo: readonly string[]
  /** Families whose neighbour table is bounded from here: only the host's own namespace has these settings. */
  readonly neighbourLimits: readonly Family[]
  /** Families for which kube-proxy has rules here. */
  readonly kubeProxy: readonly Family[]
}

interface Where {
  readonly route: NetlinkSocket
  /** Undefined where the kernel has no nf_tables. */
  readonly netfilter: NetlinkSocket | undefined
  readonly namespace: Namespace | undefined
}

/** `underlay`: the interface between hosts. Throws NetlinkError where the kernel can't be read. */
export function readHostFacts({ route, netfilter, namespace }: Where, underlay: string): HostFacts {
  const number = (name: string): number | undefined => {
    const value = readNumber(name, namespace)
    return typeof value === 'number' ? value : undefined
  }
  const forwarding = number('net/ipv6/conf/all/forwarding')
  // The interface between hosts may have heard none yet.
  const listening = () => [...new Set([underlay, ...advertised(route)])]
  const takes = (link: string) => number(`net/ipv6/conf/${link}/accept_ra`) === 1
  return {
    // Asked of each core: not where nobody wants to know.
    get cores() {
      return cpus().length
    },
    hasIpv6: forwarding !== undefined,
    forwardsIpv6: forwarding !== undefined && forwarding !== 0,
    rpFilterOfAll: number('net/ipv4/conf/all/rp_filter') ?? 0,
    advertisedTo: forwarding === 0 ? listening().filter(takes) : [],
    neighbourLimits: FAMILIES.filter(
      (family) => number(`net/${family}/neigh/default/gc_thresh3`) !== undefined,
    ),
    kubeProxy: FAMILIES.filter(
      (family) =>
        (netfilter !== undefined && hasNftKubeProxy(netfilter, family)) ||
        hasLegacyKubeProxy(family, namespace),
    ),
  }
}

/** Links with a route that came by a router advertisement, or a global address that isn't for ever. */
function advertised(socket: NetlinkSocket): string[] {
  const routed = dumpRoutes(socket, { family: 'ipv6', protocol: PROTOCOL.ra }).map(
    ({ linkIndex }) => linkIndex,
  )
  const addressed = socket
    .dump(listAddresses({ family: 'ipv6' }), (reply) => parseAddress(reply.body))
    .filter(
      (a) =>
        a !== undefined && !isIPv4(a.ip) && a.scope === SCOPE.universe && (a.flags & IFA_F.permanent) === 0,
    )
    .map((a) => a?.linkIndex)
  const indices = new Set([...routed, ...addressed].filter((index) => index !== undefined))
  if (indices.size === 0) return []
  return socket
    .dump(listLinks(), (reply) => parseLink(reply.body))
    .filter(({ index }) => indices.has(index))
    .map(({ name }) => name)
}

/** kube-proxy's own, whatever it redirects; kubelet makes KUBE- chains, too. */
const FIRST_CHAIN = 'KUBE-SERVICES'

/** Its own table of nf_tables, or its chain in the nat table of iptables' nf_tables flavour. */
const hasNftKubeProxy = (socket: NetlinkSocket, family: Family): boolean =>
  isThere(() => socket.request(getTable({ family, name: 'kube-proxy' }))) ||
  isThere(() => socket.request(getChain({ family, name: 'nat' }, FIRST_CHAIN)))

/** Its chain in the nat table of iptables' legacy flavour. */
function hasLegacyKubeProxy(family: Family, namespace: Namespace | undefined): boolean {
  using tables = new LegacyTables(namespace)
  try {
    return tables.read(family, 'nat')?.chains().includes(FIRST_CHAIN) ?? false
  } catch (error) {
    // A table that can't be read shows no kube-proxy.
    if (isSysError(error) || error instanceof XtablesError) return false
    throw error
  }
}

function isThere(ask: () => unknown): boolean {
  try {
    ask()
    return true
  } catch (error) {
    if (isMissing(error) || isRefused(error, 'EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT')) return false
    throw error
  }
}
