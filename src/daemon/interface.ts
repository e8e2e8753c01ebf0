// Which interface carries traffic between hosts: --iface in order, then --iface-can-reach, else the default
// route's (flannel-compat 1.8). The choice is pure; what the kernel says comes in as a HostView.
import { familyOf, isIPv4, parseIp, parseIPv4, type Ip, type IPv4 } from '../model/ip.ts'

export interface HostInterface {
  readonly name: string
  readonly mtuBytes: number
  readonly addresses: readonly HostAddress[]
}
export interface HostAddress {
  readonly ip: Ip
  readonly scope: 'global' | 'link' | 'host'
  readonly permanent: boolean
  readonly deprecated: boolean
}
export interface HostView {
  /** In index order. */
  readonly interfaces: readonly HostInterface[]
  /** Interface of the IPv4 default route in the main table, if there is one. */
  readonly defaultInterface: string | undefined
  /** Interface and source address the kernel would use towards `ip`. */
  route(ip: Ip): { readonly link: string; readonly source: Ip | undefined } | undefined
}

export interface InterfaceWish {
  readonly iface: readonly string[]
  readonly canReach: string
  readonly publicIp: string
}

export interface Chosen {
  readonly link: string
  readonly mtuBytes: number
  readonly ipv4: IPv4
  /** What other hosts use; `ipv4` unless --public-ip says otherwise. */
  readonly publicIp: IPv4
}

/** The interface, or a sentence about why there is none. */
export function chooseInterface(view: HostView, wish: InterfaceWish): Chosen | string {
  const publicIp = wish.publicIp === '' ? undefined : parseIPv4(wish.publicIp)
  if (wish.publicIp !== '' && publicIp === undefined)
    return `--public-ip ${wish.publicIp} is not an IPv4 address`
  const found = find(view, wish)
  if (typeof found === 'string') return found
  const { interface: chosen, address } = found
  if (chosen.mtuBytes === 0)
    return `interface ${chosen.name} has MTU 0; set one with \`ip link set ${chosen.name} mtu 1500\``
  const ipv4 = address ?? usableIPv4(chosen)
  if (ipv4 === undefined)
    return `interface ${chosen.name} has no usable IPv4 address; give it one, or choose another with --iface`
  return { link: chosen.name, mtuBytes: chosen.mtuBytes, ipv4, publicIp: publicIp ?? ipv4 }
}

interface Found {
  readonly interface: HostInterface
  /** Set where the address itself was asked for. */
  readonly address: IPv4 | undefined
}

function find(view: HostView, wish: InterfaceWish): Found | string {
  if (wish.iface.length === 0 && wish.canReach === '')
    return wish.publicIp === '' ? byDefaultRoute(view) : byName(view, wish.publicIp)
  const reasons: string[] = []
  for (const name of wish.iface) {
    const found = byName(view, name)
    if (typeof found !== 'string') return found
    reasons.push(found)
  }
  if (wish.canReach !== '') {
    const found = byReach(view, wish.canReach)
    if (typeof found !== 'string') return found
    reasons.push(found)
  }
  return reasons.join('; ')
}

function byName(view: HostView, name: string): Found | string {
  const ip = parseIp(name)
  const found = view.interfaces.find((i) =>
    ip === undefined ? i.name === name : i.addresses.some((a) => a.ip === ip),
  )
  if (found) return { interface: found, address: ip !== undefined && isIPv4(ip) ? ip : undefined }
  const names = view.interfaces.map((i) => i.name).join(', ')
  return ip === undefined
    ? `there is no interface ${name} (there are: ${names})`
    : `no interface has the address ${ip} (there are: ${names})`
}

function byReach(view: HostView, text: string): Found | string {
  const ip = parseIp(text)
  if (ip === undefined) return `--iface-can-reach ${text} is not an IP address`
  const route = view.route(ip)
  const found = view.interfaces.find((i) => i.name === route?.link)
  if (!found) return `the kernel has no route to ${ip} (--iface-can-reach)`
  return {
    interface: found,
    address: route?.source !== undefined && isIPv4(route.source) ? route.source : undefined,
  }
}

function byDefaultRoute(view: HostView): Found | string {
  const found = view.interfaces.find((i) => i.name === view.defaultInterface)
  return found
    ? { interface: found, address: undefined }
    : 'there is no IPv4 default route to choose the interface by; name it with --iface, or an address it reaches with --iface-can-reach'
}

/** Global before link-local, permanent before dynamic, as the kernel lists them otherwise; deprecated ones never. */
function usableIPv4(from: HostInterface): IPv4 | undefined {
  const rank = (a: HostAddress) => (a.scope === 'global' ? 0 : 2) + (a.permanent ? 0 : 1)
  return from.addresses
    .filter((a) => familyOf(a.ip) === 'ipv4' && !a.deprecated && a.scope !== 'host')
    .sort((a, b) => rank(a) - rank(b))
    .map((a) => a.ip as IPv4)[0]
}
