// Which interface carries traffic between hosts: --iface in order, then --iface-regex, then --iface-can-reach; without
// any of them the owner of --public-ip, else the default route's (flannel-compat 1.8). Pure: what the kernel says
// comes in as a HostView.
import {
  isIPv4,
  parseIp,
  parseIPv4,
  parseIPv6,
  type Family,
  type Ip,
  type IPv4,
  type IPv6,
} from '../../model/ip.ts'
import { compileRe2 } from './re2.ts'
import { usable, type HostInterface, type HostView } from './host-view.ts'

/** The families of the network: which addresses the interface must have. */
export type Stack = 'ipv4' | 'ipv6' | 'dual'

export interface InterfaceWish {
  readonly iface: readonly string[]
  readonly ifaceRegex: readonly string[]
  readonly canReach: string
  readonly publicIp: string
  readonly publicIpv6: string
}

export interface Chosen {
  readonly index: number
  readonly link: string
  readonly mtuBytes: number
  readonly ipv4: IPv4 | undefined
  readonly ipv6: IPv6 | undefined
  /** What other hosts use; `ipv4` unless --public-ip says otherwise. */
  readonly publicIp: IPv4 | undefined
  readonly publicIpv6: IPv6 | undefined
  /** Why what was asked for before it doesn't serve, if anything was. */
  readonly passedOver?: readonly string[]
}

/** An interface, and addresses of it where these themselves were asked for. */
interface Found {
  readonly interface: HostInterface
  readonly ipv4?: IPv4 | undefined
  readonly ipv6?: IPv6 | undefined
}
type Find = () => Found | string

/** The interface, or a sentence about why there is none. */
export function chooseInterface(view: HostView, wish: InterfaceWish, stack: Stack): Chosen | string {
  const reasons: string[] = []
  for (const find of waysOf(view, wish, stack)) {
    const found = find()
    const chosen = typeof found === 'string' ? found : complete(found, wish, stack)
    if (typeof chosen !== 'string') return reasons.length === 0 ? chosen : { ...chosen, passedOver: reasons }
    reasons.push(chosen)
  }
  return reasons.join('; ')
}

/** Whether nothing but the default route decides. */
export const isByDefaultRoute = (wish: InterfaceWish): boolean =>
  wish.iface.length + wish.ifaceRegex.length === 0 && wish.canReach + wish.publicIp + wish.publicIpv6 === ''

/** Its addresses and MTU, those that were not asked for as the kernel would prefer them; or what it lacks. */
export function complete(found: Found, wish: InterfaceWish, stack: Stack): Chosen | string {
  const { index, name, mtuBytes, addresses } = found.interface
  const first = (family: Family) => usable(addresses, family)[0]
  const ipv4 = stack === 'ipv6' ? undefined : (found.ipv4 ?? (first('ipv4') as IPv4 | undefined))
  const ipv6 = stack === 'ipv4' ? undefined : (found.ipv6 ?? (first('ipv6') as IPv6 | undefined))
  const lacking =
    stack !== 'ipv6' && ipv4 === undefined
      ? 'IPv4'
      : stack !== 'ipv4' && ipv6 === undefined
        ? 'IPv6'
        : undefined
  if (lacking !== undefined)
    return `interface ${name} has no usable ${lacking} address; give it one, or choose another with --iface`
  if (mtuBytes === 0) return `interface ${name} has MTU 0; set one with \`ip link set ${name} mtu 1500\``
  return {
    index,
    link: name,
    mtuBytes,
    ipv4,
    ipv6,
    publicIp: stack === 'ipv6' ? undefined : (parseIPv4(wish.publicIp) ?? ipv4),
    publicIpv6: stack === 'ipv4' ? undefined : (parseIPv6(wish.publicIpv6) ?? ipv6),
  }
}

/** An empty name or expression asks for nothing in particular, as upstream has it. */
function waysOf(view: HostView, wish: InterfaceWish, stack: Stack): Find[] {
  const byDefault = () => byDefaultRoute(view, stack)
  if (wish.iface.length + wish.ifaceRegex.length === 0 && wish.canReach === '') {
    const name = wish.publicIp || wish.publicIpv6
    return [name === '' ? byDefault : () => byName(view, name, wish, stack)]
  }
  return [
    ...wish.iface.map((name) => (name === '' ? byDefault : () => byName(view, name, wish, stack))),
    ...wish.ifaceRegex.map((regex) => (regex === '' ? byDefault : () => byRegex(view, regex, stack))),
    ...(wish.canReach === '' ? [] : [() => byReach(view, wish.canReach, stack)]),
  ]
}

function byName(view: HostView, name: string, wish: InterfaceWish, stack: Stack): Found | string {
  const ip = parseIp(name)
  if (ip === undefined)
    return named(view, name) ?? `there is no interface ${name} (there are: ${listed(view, undefined)})`
  if (isIPv4(ip)) {
    if (stack === 'ipv6') return `${ip} is an IPv4 address, and the network has IPv6 alone`
    const found = owner(view, ip)
    const ipv6 = stack === 'dual' ? parseIPv6(wish.publicIpv6) : undefined
    if (ipv6 === undefined || typeof found === 'string') return found
    const other = owner(view, ipv6)
    if (typeof other === 'string') return other
    return other.interface.index === found.interface.index
      ? { ...found, ipv6 }
      : `${ip} is on ${found.interface.name}, but --public-ipv6 ${ipv6} on ${other.interface.name}: both must be on one interface`
  }
  if (stack === 'ipv4') return `${ip} is an IPv6 address, and the network has IPv4 alone`
  return owner(view, stack === 'dual' ? (parseIPv6(wish.publicIpv6) ?? ip) : ip)
}

const named = (view: HostView, name: string): Found | undefined => {
  const found = view.interfaces.find((i) => i.name === name)
  return found && { interface: found }
}

function owner(view: HostView, ip: Ip): Found | string {
  const found = view.interfaces.find((i) => i.addresses.some((a) => a.ip === ip))
  if (found === undefined)
    return `no interface has the address ${ip} (there are: ${listed(view, isIPv4(ip) ? 'ipv4' : 'ipv6')})`
  return isIPv4(ip) ? { interface: found, ipv4: ip } : { interface: found, ipv6: ip }
}

/** The first interface with matching addresses of every family, else the first whose name matches. */
function byRegex(view: HostView, regex: string, stack: Stack): Found | string {
  const matches = compileRe2(regex)
  if (typeof matches === 'string') return `--iface-regex ${regex}: ${matches}`
  for (const each of view.interfaces) {
    const matching = (family: Family) => usable(each.addresses, family).find((ip) => matches(ip))
    const ipv4 = stack === 'ipv6' ? undefined : (matching('ipv4') as IPv4 | undefined)
    const ipv6 = stack === 'ipv4' ? undefined : (matching('ipv6') as IPv6 | undefined)
    if ((stack === 'ipv6' || ipv4 !== undefined) && (stack === 'ipv4' || ipv6 !== undefined))
      return { interface: each, ipv4, ipv6 }
  }
  const found = view.interfaces.find((i) => matches(i.name))
  return found !== undefined
    ? { interface: found }
    : `--iface-regex ${regex} matches no interface (there are: ${listed(view, stack === 'ipv6' ? 'ipv6' : 'ipv4')})`
}

function byReach(view: HostView, text: string, stack: Stack): Found | string {
  const ip = parseIp(text)
  if (ip === undefined) return `--iface-can-reach ${text} is not an IP address`
  const route = view.route(ip)
  const found = view.interfaces.find((i) => i.index === route?.linkIndex)
  if (route === undefined || found === undefined)
    return `the kernel has no route to ${ip} (--iface-can-reach)`
  const { source } = route
  if (source === undefined) return { interface: found }
  if (isIPv4(source)) return stack === 'ipv6' ? { interface: found } : { interface: found, ipv4: source }
  return stack === 'ipv4' ? { interface: found } : { interface: found, ipv6: source }
}

function byDefaultRoute(view: HostView, stack: Stack): Found | string {
  const families: readonly Family[] = stack === 'dual' ? ['ipv4', 'ipv6'] : [stack]
  let first: HostInterface | undefined
  for (const family of families) {
    const name = family === 'ipv4' ? 'IPv4' : 'IPv6'
    const route = view.defaultRoute(family)
    const found = view.interfaces.find((i) => i.index === route?.linkIndex)
    if (found === undefined)
      return `${route === undefined ? `there is no ${name} default route` : `the ${name} default route leads through several interfaces`} to choose the interface by; name it with --iface, or an address it reaches with --iface-can-reach`
    first ??= found
    if (first !== found)
      return `the IPv6 default route leads through ${found.name}, but the IPv4 one through ${first.name}: they must be one; name it with --iface`
  }
  return first === undefined ? 'the network has no family' : { interface: first }
}

/** Interfaces for people, with their usable addresses if a family is given. */
const listed = (view: HostView, family: Family | undefined): string =>
  view.interfaces
    .map((i) => (family === undefined ? i.name : `${i.name} [${usable(i.addresses, family).join(' ')}]`))
    .join(', ')
