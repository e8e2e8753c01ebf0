// The host-gw back end's plans, without a kernel.
import { expect, test } from 'bun:test'
import { ip, mac, prefix } from '../../test/support/values.ts'
import type { IPv4, IPv6 } from '../model/ip.ts'
import { leaseOf } from '../model/lease.ts'
import type { Self } from './backend.ts'
import { hostGw } from './host-gw.ts'

const self: Self = {
  link: 'eth0',
  mtuBytes: 1500,
  ipv4: { address: ip('192.168.0.1') as IPv4, publicIp: ip('192.168.0.1') as IPv4 },
  ipv6: undefined,
  macOf: () => mac('02:00:00:00:00:01'),
  subnets: [prefix('10.244.1.0/24')],
  nexthopUse: 'tunnels',
}
const peer = (publicIp: string, backendType = 'host-gw') =>
  leaseOf(
    prefix('10.244.2.0/24'),
    undefined,
    {
      publicIp: ip(publicIp) as IPv4,
      publicIpv6: undefined,
      backendType,
      backendData: undefined,
      backendV6Data: undefined,
    },
    1n,
  )
const onEth0 = { isOnLink: (_ip: unknown, link: string) => link === 'eth0' }

test('a peer on link is reached by a plain route through its own address', () =>
  expect(hostGw.reach(peer('192.168.0.2'), self, onEth0, undefined)).toEqual({
    refusals: [],
    objects: [
      {
        kind: 'route',
        to: prefix('10.244.2.0/24'),
        via: ip('192.168.0.2'),
        link: 'eth0',
        onLink: false,
        through: 'plain',
      },
    ],
  }))

test('a peer elsewhere can’t be reached, and the reason says what to use', () =>
  expect(hostGw.reach(peer('10.9.9.9'), { ...self, link: 'eth1' }, onEth0, undefined)).toEqual({
    objects: [],
    refusals: [
      {
        family: 'ipv4',
        reason:
          '10.9.9.9 is not on eth1: host-gw needs every host on one segment; use vxlan with DirectRouting',
      },
    ],
  }))

test('a peer of another back end, or with our own address, can’t be reached', () => {
  for (const lease of [peer('192.168.0.2', 'vxlan'), peer('192.168.0.1')])
    expect(hostGw.reach(lease, self, onEth0, undefined)).toMatchObject({
      objects: [],
      refusals: [{ family: 'ipv4' }],
    })
})

test('IPv6 goes through the peer’s IPv6 address, as far as that is on link', () => {
  const dual: Self = {
    ...self,
    ipv6: { address: ip('fd00:1::1') as IPv6, publicIp: ip('fd00:1::1') as IPv6 },
  }
  const half = {
    subnet: prefix('fd00:5:0:2::/64'),
    publicIp: ip('fd00:1::2') as IPv6,
    backendData: undefined,
  }
  const lease = { ...peer('192.168.0.2'), ipv6: half }
  const way6 = { kind: 'route', to: 'fd00:5:0:2::/64', via: 'fd00:1::2', link: 'eth0' }
  expect(hostGw.reach(lease, dual, onEth0, undefined)).toMatchObject({
    objects: [{ to: '10.244.2.0/24' }, way6],
    refusals: [],
  })
  const onlyIPv4 = { isOnLink: (to: string) => !to.includes(':') }
  expect(hostGw.reach(lease, dual, onlyIPv4, undefined)).toMatchObject({
    objects: [{ to: '10.244.2.0/24' }],
    refusals: [{ family: 'ipv6', reason: expect.stringContaining('fd00:1::2 is not on eth0') }],
  })
})

test('behind NAT it refuses to run', () => {
  expect(hostGw.refuses(self, undefined)).toBeUndefined()
  const publicIp = ip('203.0.113.1') as IPv4
  expect(hostGw.refuses({ ...self, ipv4: { address: ip('192.168.0.1') as IPv4, publicIp } }, undefined)).toBe(
    "the public address 203.0.113.1 differs from 192.168.0.1 of eth0, so this host seems to be behind NAT, which host-gw can't cross; leave --public-ip out, or use vxlan",
  )
})

test('it has no devices and no data, and costs no bytes', () => {
  expect(hostGw.devices(self, undefined)).toEqual([])
  expect(hostGw.publish(self, undefined)).toEqual({ ipv4: undefined, ipv6: undefined })
  expect(hostGw.podMtuBytes(self, undefined)).toBe(1500)
})
