// Why a packet to an address of the cluster network isn't led where it should be.
import type { Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { containsPrefix, lengthOf, prefixOf } from '../../model/prefix.ts'
import type { RouteInfo } from '../../netlink/route-info.ts'
import { PROTOCOL, TABLE } from '../../netlink/route.ts'
import type { Hop } from './hop.ts'
import { nameIn } from './last-mile.ts'
import { missingRoute } from './missing-route.ts'
import type { Told } from './told.ts'
import type { KernelView } from './view.ts'
import { protocolText, routeText, tableOf } from './words.ts'

/** Undefined where `found` is right, or the address is none of flannel's. */
export function lostHop(view: KernelView, to: Ip, found: RouteInfo, told: Told): Hop | undefined {
  if (found.type === 'local' || found.type === 'broadcast') return undefined
  if (isHeddles(found))
    // Ours stands where a live route is missing; of IPv4 the kernel refuses to answer for it.
    return found.type === 'blackhole' ? missingRoute(view, to, told) : undefined
  const network = told.networkOf(to)
  const text = routeText(found, nameIn(view))
  if (network === undefined && told.wants?.lease === undefined)
    return told.isEmpty && !isFlannels(view, found) && found.type === 'unicast'
      ? unknownRoute(text, "whether the address is a pod's, and should be led elsewhere, is not known")
      : undefined
  const isWithin =
    network !== undefined && lengthOf(found.to) > lengthOf(network) && containsPrefix(network, found.to)
  const isUpstreams = isFlannels(view, found) && found.protocol === PROTOCOL.boot
  if (isUpstreams && oursFor(view, to) === undefined) return undefined
  if (!isWithin) {
    const missing = missingRoute(view, to, told)
    return missing.state === 'missing' && missing.kind !== 'link'
      ? { ...missing, note: `${missing.note ?? ''}; the packet would leave by ${text}` }
      : missing
  }
  if (told.ownSubnetOf(to) !== undefined && found.via === undefined) return undefined
  return notFlannels(view, to, found, told)
}

const isHeddles = ({ protocol, table }: RouteInfo): boolean =>
  protocol === ROUTE_PROTOCOL && table === TABLE.main

const oursFor = (view: KernelView, to: Ip): RouteInfo | undefined => view.covering(to).find(isHeddles)

/** By the device that flannel's routes lead through, upstream's too. */
const isFlannels = (view: KernelView, { linkIndex }: RouteInfo): boolean => {
  const link = view.link(linkIndex)
  return link?.type === 'vxlan' && link.name.startsWith('flannel')
}

const unknownRoute = (object: string, note: string): Hop => ({
  layer: 'inner',
  kind: 'route',
  state: 'unknown',
  object,
  note,
})

function notFlannels(view: KernelView, to: Ip, found: RouteInfo, { wants }: Told): Hop {
  const object = routeText(found, nameIn(view))
  const ours = oursFor(view, to)
  const protocol = protocolText(found.protocol)
  if (ours === undefined && found.protocol === PROTOCOL.boot && wants === undefined)
    return unknownRoute(
      object,
      "upstream's flanneld makes such routes without a tunnel, and so does anybody by hand (proto boot): whether a host has leased that subnet is not known",
    )
  const isUnleased = wants !== undefined && wants.lease === undefined
  const note = `it is not flannel's ${
    ours === undefined ? `(proto ${protocol})` : `and wins over ${routeText(ours, nameIn(view))}`
  }${isUnleased ? ', and no host has leased that subnet' : ''}`
  const metric = found.metric === 0 ? '' : ` metric ${found.metric}`
  return {
    layer: 'inner',
    kind: 'route',
    state: 'wrong',
    object,
    note,
    advice: `${makerOf(view, found) ?? `ip route del ${found.to}${metric} proto ${protocol}${tableOf(found)}`}, if nobody needs it`,
  }
}

/** The kernel makes routes of its own for addresses: without those they go. */
function makerOf(view: KernelView, { to, linkIndex, protocol }: RouteInfo): string | undefined {
  if (protocol !== PROTOCOL.kernel) return undefined
  const address = view.addresses.find(
    (each) => each.linkIndex === linkIndex && prefixOf(each.ip, each.length) === to,
  )
  return address && `ip addr del ${address.ip}/${address.length} dev ${nameIn(view)(linkIndex)}`
}
