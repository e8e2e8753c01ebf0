// A packet's way hop by hop, up to the first object that is missing or wrong: what the kernel would do with it now.
import { familyOf, type Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { containsPrefix, lengthOf, type Prefix } from '../../model/prefix.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import { RTNH_F } from '../../netlink/nexthop.ts'
import type { RouteInfo } from '../../netlink/route-info.ts'
import { PROTOCOL } from '../../netlink/route.ts'
import { readSysctl } from '../../sys/sysctl.ts'
import { isBroken, there, type Hop } from './hop.ts'
import { linkHop, nameIn, onSegment } from './last-mile.ts'
import { masqueradeHop } from './masquerade.ts'
import { missingRoute } from './missing-route.ts'
import type { Told } from './told.ts'
import { throughTunnel } from './tunnel.ts'
import { isRefused, type KernelView, type Origin } from './view.ts'
import { nexthopText, protocolText, routeText } from './words.ts'

export interface Question {
  readonly to: Ip
  readonly from: Ip | undefined
}

/** All hops as far as they lead. */
export function walk(view: KernelView, question: Question, told: Told): Hop[] {
  const hops: Hop[] = []
  for (const hop of way(view, question, told)) {
    hops.push(hop)
    if (isBroken(hop)) break
  }
  return hops
}

function* way(view: KernelView, { to, from }: Question, told: Told): Generator<Hop> {
  const origin = originOf(view, from)
  if ('state' in origin) return yield origin
  if (origin.inputIndex !== undefined) yield forwardingHop(to)
  const found = view.entry(to, origin)
  const network = told.networkOf(to)
  if (isRefused(found)) return yield refusedHop(view, to, found.refused, told)
  const broken = network === undefined ? undefined : lostHop(view, to, network, found, told)
  if (broken !== undefined) return yield broken
  yield routeHop(view, to, found)
  if (found.type === 'local') return yield* atHome(view, found)
  if (found.type !== 'unicast') return
  if (found.nexthopId !== undefined) yield nexthopHop(view, found.nexthopId)
  const route = view.route(to, origin)
  const link = isRefused(route) ? undefined : view.link(route.linkIndex)
  if (isRefused(route) || link === undefined) return
  if (network === undefined && isPods(from, told)) yield masqueradeHop(to, told)
  yield linkHop(view, link, 'inner')
  yield* behind(view, link, route.via ?? to)
}

const isPods = (from: Ip | undefined, told: Told): boolean =>
  from === undefined || told.networkOf(from) !== undefined

function* behind(view: KernelView, link: LinkInfo, ip: Ip): Generator<Hop> {
  if (link.type === 'vxlan') yield* throughTunnel(view, link, ip)
  else yield* onSegment(view, link, ip, 'inner')
}

/** A packet of this host, or one that comes in by the link behind which its source is. */
function originOf(view: KernelView, from: Ip | undefined): Origin | Hop {
  if (from === undefined) return {}
  if (view.isOwn(from)) return { from }
  const back = view.route(from)
  if (!isRefused(back) && back.linkIndex !== undefined && back.type === 'unicast')
    return { from, inputIndex: back.linkIndex }
  return {
    layer: 'inner',
    kind: 'route',
    state: 'missing',
    object: from,
    note: 'that is where the packet would come from, and no route leads back to it',
  }
}

function forwardingHop(to: Ip): Hop {
  const name = familyOf(to) === 'ipv4' ? 'net/ipv4/ip_forward' : 'net/ipv6/conf/all/forwarding'
  const dotted = name.replaceAll('/', '.')
  if (readSysctl(name) !== '0') return there('inner', 'forwarding', `${dotted} = 1`)
  return {
    layer: 'inner',
    kind: 'forwarding',
    state: 'wrong',
    object: `${dotted} = 0`,
    note: 'this host forwards nothing between its links',
    advice: `sysctl -w ${dotted}=1`,
  }
}

function routeHop(view: KernelView, to: Ip, route: RouteInfo): Hop {
  const object = routeText(route, nameIn(view))
  if (route.type === 'blackhole' || route.type === 'unreachable' || route.type === 'prohibit')
    return forbidden(object, route)
  if (route.type === 'broadcast' || route.type === 'multicast' || route.type === 'anycast')
    return there('inner', 'route', object, `${to} is no single host's address`)
  return there('inner', 'route', object)
}

const forbidden = (object: string, { type, to }: RouteInfo): Hop => ({
  layer: 'inner',
  kind: 'route',
  state: 'wrong',
  object,
  note: 'packets end here, and no other route wins over it',
  advice: `ip route del ${type} ${to}, if it is nobody's any more; who made it, protocol and metric tell`,
})

/** What the kernel refuses to answer for: no route at all, or, of IPv4, one that forbids it. */
function refusedHop(view: KernelView, to: Ip, refused: string, told: Told): Hop {
  const type = refused === 'EINVAL' ? 'blackhole' : refused === 'EHOSTUNREACH' ? 'unreachable' : 'prohibit'
  const route = view.covering(to).find((each) => each.type === type)
  if (route !== undefined && refused !== 'ENETUNREACH') {
    const isOurs = route.protocol === ROUTE_PROTOCOL
    const hop = forbidden(routeText(route, nameIn(view)), route)
    // Ours stands where a live route is missing.
    return isOurs ? { ...missingRoute(view, to, told), note: `${hop.object} is all there is for it` } : hop
  }
  if (refused === 'ENETUNREACH') return missingRoute(view, to, told)
  return {
    layer: 'inner',
    kind: 'route',
    state: 'missing',
    object: to,
    note: `the kernel takes no such packet (${refused}): its source is not reached by the link it would come from, or routing rules forbid it (ip rule)`,
  }
}

/** Why an address of the cluster network isn't led where it should be; undefined if it is. */
function lostHop(view: KernelView, to: Ip, network: Prefix, found: RouteInfo, told: Told): Hop | undefined {
  const isOutside = lengthOf(found.to) <= lengthOf(network) && !isOn(view, found, 'vxlan')
  if (found.type === 'local' || found.type === 'broadcast') return undefined
  if (isOutside || !containsPrefix(network, found.to)) {
    const text = routeText(found, nameIn(view))
    const missing = missingRoute(view, to, told)
    return missing.state === 'missing' && missing.kind !== 'link'
      ? { ...missing, note: `${missing.note ?? ''}; the packet would leave by ${text}` }
      : missing
  }
  if (found.protocol === ROUTE_PROTOCOL || told.ownSubnetOf(to) !== undefined || isOn(view, found, 'vxlan'))
    return undefined
  const ours = view.covering(to).find(({ protocol }) => protocol === ROUTE_PROTOCOL)
  // Upstream's host-gw makes them as anybody does by hand.
  if (ours === undefined && found.protocol === PROTOCOL.boot) return undefined
  return {
    layer: 'inner',
    kind: 'route',
    state: 'wrong',
    object: routeText(found, nameIn(view)),
    note:
      ours === undefined
        ? `it is not flannel's (proto ${protocolText(found.protocol)})`
        : `it is not flannel's and wins over ${routeText(ours, nameIn(view))}`,
    advice: `ip route del ${found.to}${found.metric === 0 ? '' : ` metric ${found.metric}`} proto ${protocolText(found.protocol)}, if nobody needs it`,
  }
}

const isOn = (view: KernelView, { linkIndex }: RouteInfo, type: string): boolean =>
  view.link(linkIndex)?.type === type

function nexthopHop(view: KernelView, id: number): Hop {
  const nexthop = view.nexthops().find((each) => each.id === id)
  if (nexthop === undefined)
    return { layer: 'inner', kind: 'nexthop', state: 'missing', object: `id ${id}`, note: 'it went just now' }
  const object = nexthopText(nexthop, nameIn(view))
  if ((nexthop.flags & RTNH_F.dead) === 0) return there('inner', 'nexthop', object)
  return { layer: 'inner', kind: 'nexthop', state: 'wrong', object, note: 'it is dead: its link is down' }
}

function* atHome(view: KernelView, { linkIndex }: RouteInfo): Generator<Hop> {
  const link = view.link(linkIndex)
  if (link !== undefined) yield linkHop(view, link, 'inner', 'this host itself')
}
