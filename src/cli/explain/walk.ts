// A packet's way hop by hop, up to the first object that is missing or wrong: what the kernel would do with it now.
import { familyOf, type Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { RTNH_F } from '../../netlink/nexthop.ts'
import type { RouteInfo } from '../../netlink/route-info.ts'
import { readSysctl } from '../../sys/sysctl.ts'
import { isBroken, there, type Hop } from './hop.ts'
import { linkHop, nameIn, onSegment } from './last-mile.ts'
import { lostHop } from './lost.ts'
import { masqueradeHop } from './masquerade.ts'
import { missingRoute } from './missing-route.ts'
import { originOf } from './origin.ts'
import { toPod } from './pod-address.ts'
import type { Told } from './told.ts'
import { throughTunnel } from './tunnel.ts'
import { isRefused, type KernelView } from './view.ts'
import { nexthopText, routeText, tableOf } from './words.ts'

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
  const origin = yield* originOf(view, from, told)
  if (origin === undefined) return
  if (origin.inputIndex !== undefined) yield forwardingHop(to)
  const found = view.entry(to, origin)
  if (isRefused(found)) return yield refusedHop(view, to, found.refused, told)
  const lost = lostHop(view, to, found, told)
  if (lost !== undefined) yield lost
  if (lost !== undefined && isBroken(lost)) return
  if (lost === undefined) yield routeHop(view, to, found)
  if (found.type === 'local') return yield* atHome(view, found)
  if (found.type !== 'unicast') return
  if (found.nexthopId !== undefined) yield nexthopHop(view, found.nexthopId)
  const route = view.route(to, origin)
  const link = isRefused(route) ? undefined : view.link(route.linkIndex)
  if (isRefused(route) || link === undefined)
    return yield {
      layer: 'inner',
      kind: 'link',
      state: 'unknown',
      object: nameIn(view)(found.linkIndex),
      note: 'the kernel changed while it was asked: ask again',
    }
  if (from !== undefined && isFromPodOutwards(from, to, told)) yield masqueradeHop(to, told)
  yield linkHop(view, link, 'inner')
  if (link.type === 'vxlan') yield* throughTunnel(view, link, route.via ?? to, told)
  else if (route.via === undefined && told.ownSubnetOf(to) !== undefined) yield* toPod(view, link, to, told)
  else yield* onSegment(view, link, route.via ?? to, 'inner')
}

const isFromPodOutwards = (from: Ip, to: Ip, told: Told): boolean =>
  told.networkOf(from) !== undefined && told.networkOf(to) === undefined

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

const forbidden = (object: string, route: RouteInfo): Hop => ({
  layer: 'inner',
  kind: 'route',
  state: 'wrong',
  object,
  note: 'packets end here, and no other route wins over it',
  advice: `ip route del ${route.type} ${route.to}${tableOf(route)}, if it is nobody's any more; who made it, protocol and metric tell`,
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
