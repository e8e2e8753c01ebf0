// By which marks a device or next hop is ours.
import { expect, test } from 'bun:test'
import { NEXTHOP_IDS, ROUTE_PROTOCOL } from '../../model/kernel.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import type { NexthopInfo } from '../../netlink/nexthop.ts'
import { isOurNexthop, ourDevices, upstreamDevices } from './proof.ts'

const link = (index: number, name: string, type: string | undefined, vni?: number): LinkInfo => ({
  index,
  name,
  type,
  flags: 1,
  up: true,
  hardwareType: 1,
  mtuBytes: 1450,
  mac: undefined,
  master: undefined,
  below: undefined,
  operState: 0,
  vxlan: vni === undefined ? undefined : { vni },
})
const nexthop = (linkIndex: number, more: Partial<NexthopInfo> = {}): NexthopInfo => ({
  id: NEXTHOP_IDS.base + 5,
  family: 'ipv4',
  linkIndex,
  via: undefined,
  onLink: true,
  protocol: ROUTE_PROTOCOL,
  flags: 0,
  type: 'plain',
  ...more,
})

test('a VXLAN device is ours by its name and VNI together, or by a next hop of ours', () => {
  const links = [
    link(1, 'flannel.1', 'vxlan', 1),
    link(2, 'flannel-v6.1', 'vxlan', 1),
    link(3, 'flannel.16777215', 'vxlan', 16777215),
    link(4, 'flannel.5', 'vxlan', 9),
    link(5, 'flannel.01', 'vxlan', 1),
    link(6, 'flannel.1x', 'vxlan', 1),
    link(7, 'flannel.2', 'bridge'),
    link(8, 'renamed', 'vxlan', 8),
    link(9, 'vxlan9', 'vxlan', 9),
    link(10, 'eth0', undefined),
  ]
  const names = (nexthops: readonly NexthopInfo[]) => ourDevices(links, nexthops).map(({ name }) => name)
  const byName = ['flannel.1', 'flannel-v6.1', 'flannel.16777215']
  expect(names([])).toEqual(byName)
  expect(names([nexthop(8), nexthop(10)])).toEqual([...byName, 'renamed'])
  expect(names([nexthop(8, { protocol: 4 }), nexthop(9, { id: 9 })])).toEqual(byName)
})

test('a next hop is ours by id and protocol together', () => {
  const { base, size } = NEXTHOP_IDS
  expect([base, base + size - 1].every((id) => isOurNexthop(nexthop(1, { id })))).toBe(true)
  expect([1, base - 1, base + size].some((id) => isOurNexthop(nexthop(1, { id })))).toBe(false)
  expect(isOurNexthop(nexthop(1, { protocol: 3 }))).toBe(false)
})

test('devices of upstream’s other back ends are known by name and type', () => {
  const links = [
    link(1, 'flannel-wg', 'wireguard'),
    link(2, 'flannel-wg-v6', 'wireguard'),
    link(3, 'flannel.ipip', 'ipip'),
    link(4, 'flannel0', 'tun'),
    link(5, 'flannel0', 'bridge'),
    link(6, 'toString', 'tun'),
  ]
  expect(upstreamDevices(links).map(({ index }) => index)).toEqual([1, 2, 3, 4])
})
