// No route leads to an address: which object of flannel's is the first that is missing, by what is left of the others.
import { familyOf, type Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { addressAt, baseOf, containsIp, lengthOf, prefixOf, type Prefix } from '../../model/prefix.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import { isBroken, type Hop } from './hop.ts'
import { linkHop } from './last-mile.ts'
import type { Told } from './told.ts'
import type { KernelView } from './view.ts'

/** The bridge of the CNI plugin, unless its config says otherwise. */
const BRIDGE = 'cni0'

export function missingRoute(view: KernelView, to: Ip, told: Told): Hop {
  const own = told.ownSubnetOf(to)
  if (own !== undefined) return missingBridge(view, own)
  const { wants, restore } = told
  if (told.networkOf(to) === undefined && wants?.lease === undefined)
    return missing(
      'route',
      to,
      'no route leads there, not even a default one',
      `if packets should get there, give this host a route to it, or a default one`,
    )
  const subnet = told.subnetLike(to)
  const peer = wants?.subnet ?? (subnet === undefined ? undefined : prefixOf(to, lengthOf(subnet)))
  if (wants?.refused !== undefined)
    return missing(
      'route',
      peer ?? to,
      `flanneld refused lease ${wants.lease}: ${wants.refused}`,
      'whoever published that lease must mend it, or give it up',
    )
  if (wants !== undefined && wants.lease === undefined)
    return {
      layer: 'inner',
      kind: 'lease',
      state: 'missing',
      object: peer ?? to,
      note: 'no host has leased that subnet, so no pod has the address',
    }
  const device = view.links.find((link) => isDeviceFor(link, to))
  if (device === undefined) return isTunnelled(view, told) ? missingDevice(to, told) : noRoute(to, peer, told)
  const state = linkHop(view, device, 'inner')
  if (isBroken(state))
    return { ...state, note: `${state.note}, and its routes went with that`, advice: restore }
  const gateway = peer === undefined ? undefined : baseOf(peer)
  const isHalfThere = gateway !== undefined && view.neighbour(device.index, gateway) !== undefined
  const nexthops = view
    .nexthops()
    .filter((n) => n.linkIndex === device.index && n.protocol === ROUTE_PROTOCOL)
  if (isHalfThere && nexthops.length > 0 && !nexthops.some(({ via }) => via === gateway))
    return missing(
      'nexthop',
      `via ${gateway} dev ${device.name}`,
      'the route to its subnet went with it',
      restore,
    )
  return noRoute(to, peer, told, device)
}

const missing = (kind: Hop['kind'], object: string, note: string, advice: string): Hop => ({
  layer: 'inner',
  kind,
  state: 'missing',
  object,
  note,
  advice,
})

/** flannel.1 carries IPv4, flannel-v6.1 IPv6. */
const isDeviceFor = ({ name, type }: LinkInfo, to: Ip): boolean =>
  type === 'vxlan' && name.startsWith(familyOf(to) === 'ipv4' ? 'flannel.' : 'flannel-v6.')

const noRoute = (to: Ip, peer: Prefix | undefined, { wants, restore }: Told, device?: LinkInfo): Hop =>
  missing(
    'route',
    peer === undefined ? to : `${peer}${device === undefined ? '' : ` dev ${device.name}`}`,
    wants === undefined
      ? 'no route of flannel leads there: no host has leased that subnet, its lease is refused, or the route was removed'
      : `no route of flannel leads there, though a host has leased it (${wants.lease})`,
    wants === undefined
      ? `heddle drift tells which, if it can read the store; if it was removed: ${restore}`
      : restore,
  )

/** Pods may use less than any link has where packets get an outer header. */
function isTunnelled(view: KernelView, { podMtuBytes }: Told): boolean {
  const isTunnel = ({ type, name }: LinkInfo) => type === 'vxlan' && name.startsWith('flannel')
  if (view.links.some(isTunnel)) return true
  const bridges = new Set(view.links.filter(({ type }) => type === 'bridge').map(({ index }) => index))
  const isPods = ({ index, master }: LinkInfo) =>
    bridges.has(index) || (master !== undefined && bridges.has(master))
  return (
    podMtuBytes !== undefined && !view.links.some((link) => link.mtuBytes === podMtuBytes && !isPods(link))
  )
}

const missingDevice = (to: Ip, { restore }: Told): Hop =>
  missing(
    'link',
    familyOf(to) === 'ipv4' ? 'flannel.<VNI> vxlan' : 'flannel-v6.<VNI> vxlan',
    `there is no VXLAN device of flannel for ${familyOf(to) === 'ipv4' ? 'IPv4' : 'IPv6'}, and all that leads through it went with it`,
    restore,
  )

function missingBridge(view: KernelView, own: Prefix): Hop {
  const gateway = `${addressAt(own, 1n)}/${lengthOf(own)}`
  const holder = view.addresses.find(({ ip }) => ip === addressAt(own, 1n))
  const bridge = view.link(holder?.linkIndex) ?? view.links.find(({ name }) => name === BRIDGE)
  if (bridge === undefined)
    return missing(
      'link',
      `${BRIDGE} bridge`,
      `this host's own subnet is ${own}, and no bridge carries it`,
      'the CNI plugin makes it with the first pod: start a pod on this host',
    )
  const state = linkHop(view, bridge, 'inner')
  if (isBroken(state)) return state
  const isAddressed = view.addresses.some(
    ({ linkIndex, ip }) => linkIndex === bridge.index && containsIp(own, ip),
  )
  return isAddressed
    ? missing(
        'route',
        `${own} dev ${bridge.name}`,
        'the route of that address was removed',
        `ip route add ${own} dev ${bridge.name}`,
      )
    : missing(
        'address',
        `${gateway} dev ${bridge.name}`,
        `pods of ${own} have it for their gateway`,
        `ip addr add ${gateway} dev ${bridge.name}`,
      )
}
