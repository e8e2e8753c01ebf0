// Through a VXLAN device: the neighbour entry of the gateway, the FDB entry of its MAC, and the way of the outer packet.
import { familyOf, type Ip } from '../../model/ip.ts'
import { VXLAN_OVERHEAD_BYTES } from '../../model/vxlan.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import { there, type Hop } from './hop.ts'
import { linkHop, nameIn, onSegment } from './last-mile.ts'
import type { Told } from './told.ts'
import { isRefused, stateText, type KernelView } from './view.ts'
import { routeText } from './words.ts'

/** `gateway`: what the route leads to, else the receiver itself. */
export function* throughTunnel(view: KernelView, device: LinkInfo, gateway: Ip, told: Told): Generator<Hop> {
  const who = `${gateway} dev ${device.name}`
  const entry = view.neighbour(device.index, gateway)
  if (entry?.mac === undefined)
    return yield {
      layer: 'inner',
      kind: 'neighbour',
      state: 'missing',
      object: who,
      note: `nothing tells which MAC ${gateway} has, and nobody can be asked through a tunnel`,
      advice: told.restore,
    }
  yield there('inner', 'neighbour', `${who} lladdr ${entry.mac} ${stateText(entry.state)}`)
  const forward = view.tunnel(device.index, entry.mac)
  const dst = forward?.dst ?? device.vxlan?.group
  if (dst === undefined)
    return yield {
      layer: 'inner',
      kind: 'fdb',
      state: 'missing',
      object: `${entry.mac} dev ${device.name}`,
      note: 'nothing tells behind which host that MAC is',
      advice: told.restore,
    }
  yield there('inner', 'fdb', `${entry.mac} dev ${device.name} dst ${dst}`)
  yield* outerWay(view, device, dst, told)
}

function* outerWay(view: KernelView, device: LinkInfo, dst: Ip, { wants }: Told): Generator<Hop> {
  const { link: underlayIndex, local } = device.vxlan ?? {}
  const underlay = view.link(underlayIndex)
  if (underlay !== undefined && !underlay.up) return yield linkHop(view, underlay, 'outer')
  if (local !== undefined && !view.isOwn(local))
    return yield {
      layer: 'outer',
      kind: 'address',
      state: 'missing',
      object: `${local}${underlay === undefined ? '' : ` dev ${underlay.name}`}`,
      note: `${device.name} sends from it, and no link of this host has it`,
      advice: `give it back${underlay === undefined ? '' : ` to ${underlay.name}`}; if ${local} is no longer this host's address, ${
        wants === undefined ? 'start flanneld anew, which takes' : 'flanneld by itself takes'
      } the one that the interface has, once it has one`,
    }
  const origin = {
    ...(local === undefined ? {} : { from: local }),
    ...(underlayIndex === undefined || underlayIndex === 0 ? {} : { linkIndex: underlayIndex }),
  }
  const found = view.entry(dst, origin)
  if (isRefused(found))
    return yield {
      layer: 'outer',
      kind: 'route',
      state: 'missing',
      object: `${dst}${local === undefined ? '' : ` from ${local}`}${underlay === undefined ? '' : ` dev ${underlay.name}`}`,
      note: `no route leads from here to that host (${found.refused})`,
      advice: `give this host a route to ${dst}; ip route get ${dst} must find it`,
    }
  const text = routeText(found, nameIn(view))
  if (found.type !== 'unicast')
    return yield {
      layer: 'outer',
      kind: 'route',
      state: 'wrong',
      object: text,
      note: found.type === 'local' ? `${dst} is this host itself` : `packets to ${dst} end here`,
      advice:
        found.type === 'local'
          ? 'two hosts claim that address: heddle drift names refused and doubtful leases'
          : `ip route del ${found.type} ${found.to}`,
    }
  yield there('outer', 'route', text)
  yield* outerLink(view, device, dst, origin)
}

function* outerLink(
  view: KernelView,
  device: LinkInfo,
  dst: Ip,
  origin: Parameters<KernelView['route']>[1],
): Generator<Hop> {
  const route = view.route(dst, origin)
  const link = isRefused(route) ? undefined : view.link(route.linkIndex)
  if (isRefused(route) || link === undefined) return
  const hop = linkHop(view, link, 'outer', tooBig(device, link, dst))
  yield hop
  if (hop.state === 'there') yield* onSegment(view, link, route.via ?? dst, 'outer')
}

function tooBig(device: LinkInfo, link: LinkInfo, dst: Ip): string | undefined {
  const most = link.mtuBytes - VXLAN_OVERHEAD_BYTES[familyOf(dst)]
  return device.mtuBytes <= most
    ? undefined
    : `packets of more than ${most} bytes don't fit through: ${device.name} has an MTU of ${device.mtuBytes}`
}
