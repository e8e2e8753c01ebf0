// What in the kernel is flannel's, by marks that outlive every daemon: names and VNIs of devices, ids and protocol of
// next hops. What bears none of them is never touched. Pure.
import { NEXTHOP_IDS, ROUTE_PROTOCOL } from '../../model/kernel.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import type { NexthopInfo } from '../../netlink/nexthop.ts'

/** Upstream's names too: the family and the VNI. */
const DEVICE = /^flannel(?:-v6)?\.(0|[1-9]\d*)$/

export const isOurNexthop = ({ id, protocol }: NexthopInfo): boolean =>
  protocol === ROUTE_PROTOCOL && id >= NEXTHOP_IDS.base && id < NEXTHOP_IDS.base + NEXTHOP_IDS.size

/** VXLAN devices called after their VNI, and those of any name that next hops of ours lead through. */
export const ourDevices = (links: readonly LinkInfo[], nexthops: readonly NexthopInfo[]): LinkInfo[] =>
  links.filter(
    ({ type, name, vxlan, index }) =>
      type === 'vxlan' &&
      (DEVICE.exec(name)?.[1] === String(vxlan?.vni) ||
        nexthops.some((n) => n.linkIndex === index && isOurNexthop(n))),
  )

/** Devices of upstream's other back ends, by name and type: this build makes none of them. */
const UPSTREAM: Readonly<Record<string, string>> = {
  'flannel-wg': 'wireguard',
  'flannel-wg-v6': 'wireguard',
  'flannel.ipip': 'ipip',
  flannel0: 'tun',
}
export const upstreamDevices = (links: readonly LinkInfo[]): LinkInfo[] =>
  links.filter(({ name, type }) => Object.hasOwn(UPSTREAM, name) && UPSTREAM[name] === type)
