// No route leads to an address: which object of flannel's is the first that is missing, by what is left of the others.
import { familyOf, type Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { addressAt, baseOf, containsIp, lengthOf, prefixOf, type Prefix } from '../../model/prefix.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import { isBroken, type Hop } from './hop.ts'
import { linkHop } from './last-mile.ts'
import type { Told } from './told.ts'
import { RESTORE } from './tunnel.ts'
import type { KernelView } from './view.ts'

/** The bridge of the CNI plugin, unless its config says otherwise. */
const BRIDGE = 'cni0'

export function missingRoute(view: KernelView, to: Ip, told: Told): Hop {
  const own = told.ownSubnetOf(to)
  if (own !== undefined) return missingBridge(view, own)
  const network = told.networkOf(to)
  if (network === undefined)
    return missing(
      'route',
      to,
      'no route leads there, not even a default one',
      `ip route get ${to} must find one`,
    )
  const subnet = told.subnetLike(to)
  const peer = subnet === undefined ? undefined : prefixOf(to, lengthOf(subnet))
  const device = view.links.find((link) => isDeviceFor(link, to))
  if (device === undefined) return isTunnelled(view, told) ? missingDevice(to) : noRoute(to, peer)
  const state = linkHop(view, device, 'inner')
  if (isBroken(state)) return { ...state, note: `${state.note}, and its routes went with that` }
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
      RESTORE,
    )
  return noRoute(to, peer, device)
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

const noRoute = (to: Ip, peer: Prefix | undefined, device?: LinkInfo): Hop =>
  missing(
    'route',
    peer === undefined ? to : `${peer}${device === undefined ? '' : ` dev ${device.name}`}`,
    'no route of flannel leads there: no host has leased that subnet, its lease is refused, or the route was removed',
    'heddle drift tells which; a running flanneld puts back at once what was removed',
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

const missingDevice = (to: Ip): Hop =>
  missing(
    'link',
    familyOf(to) === 'ipv4' ? 'flannel.<VNI> vxlan' : 'flannel-v6.<VNI> vxlan',
    'there is no VXLAN device of flannel, and all that leads through it went with it',
    RESTORE,
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
