// The vxlan back end's plans, without a kernel: options, what this host has and publishes, what reaches a peer.
import { describe, expect, test } from 'bun:test'
import { leaseOf } from '../model/lease.ts'
import type { Json, Lease } from '../model/lease.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import type { IPv4 } from '../model/ip.ts'
import type { Self, Underlay } from './backend.ts'
import { vxlan, vxlanDevice, type VxlanSettings } from './vxlan.ts'

const OWN = mac('02:00:00:00:00:01')
const self: Self = {
  link: 'eth0',
  mtuBytes: 1500,
  ipv4: ip('192.168.0.1') as IPv4,
  publicIp: ip('203.0.113.1') as IPv4,
  macOf: () => OWN,
  subnets: [prefix('10.244.1.0/24')],
  nexthopObjects: true,
}
const away: Underlay = { isOnLink: () => false }
const near: Underlay = { isOnLink: () => true }

const settings = (backend: { [key: string]: Json } = {}): VxlanSettings => {
  const parsed = vxlan.parse({ Type: 'vxlan', ...backend })
  if (typeof parsed === 'string') throw new Error(parsed)
  return parsed
}
const peer = (
  changes: Partial<{
    type: string
    publicIp: string | undefined
    data: Json | undefined
    subnet: string
  }> = {},
): Lease => {
  const c = {
    type: 'vxlan',
    publicIp: '203.0.113.2',
    data: { VNI: 1, VtepMAC: '02:00:00:00:00:02' },
    subnet: '10.244.2.0/24',
    ...changes,
  }
  return leaseOf(
    prefix(c.subnet),
    undefined,
    {
      publicIp: c.publicIp === undefined ? undefined : (ip(c.publicIp) as IPv4),
      publicIpv6: undefined,
      backendType: c.type,
      backendData: c.data,
      backendV6Data: undefined,
    },
    1n,
  )
}
const reach = (lease: Lease, underlay = away, options = settings(), who = self) =>
  vxlan.reach(lease, who, underlay, options)

describe('options', () => {
  test('have upstream’s defaults', () =>
    expect(settings()).toEqual({
      vni: 1,
      port: 8472,
      mtuBytes: 0,
      gbp: false,
      learning: false,
      directRouting: false,
    }))

  test('match whatever their case; null, 0 and unknown ones leave the default', () => {
    const given = { vni: 7, PORT: 0, mtu: 0, Gbp: null, learning: true, DirectRouting: true }
    expect(settings({ ...given, MacPrefix: '0E-2A', Name: 'flannel.4096' })).toEqual({
      vni: 7,
      port: 8472,
      mtuBytes: 0,
      gbp: false,
      learning: true,
      directRouting: true,
    })
    expect(settings({ vni: 1, VNI: 2 }).vni).toBe(2)
    expect(settings({ Port: 4789, MTU: 9000, VNI: 0 })).toMatchObject({ port: 4789, mtuBytes: 9000, vni: 0 })
  })

  test.each([
    [{ VNI: -1 }, 'Backend.VNI must be a whole number from 0 to 16777215, not -1'],
    [{ VNI: 16_777_216 }, 'Backend.VNI must be a whole number from 0 to 16777215, not 16777216'],
    [{ VNI: 1.5 }, 'Backend.VNI must be a whole number from 0 to 16777215, not 1.5'],
    [{ VNI: '1' }, 'Backend.VNI must be a whole number from 0 to 16777215, not "1"'],
    [{ Port: 65_536 }, 'Backend.Port must be a whole number from 0 to 65535, not 65536'],
    [{ MTU: 100 }, "Backend.MTU must be at least 138, or 0 for the interface's own, not 100"],
    [{ MTU: '1400' }, 'Backend.MTU must be a whole number from 0 to 65535, not "1400"'],
    [{ GBP: 'yes' }, 'Backend.GBP must be true or false, not "yes"'],
    [{ Learning: 1 }, 'Backend.Learning must be true or false, not 1'],
    [{ directrouting: [] }, 'Backend.DirectRouting must be true or false, not []'],
  ])('refuses %j', (backend, sentence) =>
    expect(vxlan.parse(backend as { [key: string]: Json })).toBe(sentence),
  )
})

describe('this host', () => {
  test('has a device on its own address, not the public one, and once leased an address on it', () => {
    expect(vxlan.devices({ ...self, subnets: [] }, settings())).toEqual([
      {
        kind: 'link',
        type: 'vxlan',
        up: true,
        name: 'flannel.1',
        mac: OWN,
        mtuBytes: 1450,
        vxlan: {
          vni: 1,
          port: 8472,
          local: self.ipv4,
          underlay: 'eth0',
          learning: false,
          gbp: false,
        },
      },
    ])
    expect(vxlan.devices(self, settings())[1]).toEqual({
      kind: 'address',
      link: 'flannel.1',
      ip: ip('10.244.1.0'),
      length: 32,
    })
  })

  test('gives pods the underlay’s MTU less 50, or 70 over IPv6; never more than the interface carries', () => {
    expect(vxlan.podMtuBytes(self, settings(), 'ipv4')).toBe(1450)
    expect(vxlan.podMtuBytes(self, settings(), 'ipv6')).toBe(1430)
    expect(vxlan.podMtuBytes(self, settings({ MTU: 1400 }), 'ipv4')).toBe(1350)
    expect(vxlan.podMtuBytes(self, settings({ MTU: 9000 }), 'ipv4')).toBe(1450)
    expect(vxlan.refuses(self, settings())).toBeUndefined()
    expect(vxlan.refuses({ ...self, mtuBytes: 100 }, settings())).toContain('too small')
  })

  test('publishes its VNI and MAC as upstream does', () => {
    expect(JSON.stringify(vxlan.publish(self, settings({ VNI: 42 })).ipv4)).toBe(
      '{"VNI":42,"VtepMAC":"02:00:00:00:00:01"}',
    )
    expect(vxlanDevice(settings({ VNI: 42 }), 'ipv4')).toBe('flannel.42')
    expect(vxlanDevice(settings({ VNI: 42 }), 'ipv6')).toBe('flannel-v6.42')
  })
})

describe('a peer', () => {
  const tunnel = (through: 'nexthop' | 'plain') => [
    { kind: 'neighbour', link: 'flannel.1', ip: '10.244.2.0', mac: '02:00:00:00:00:02' },
    { kind: 'fdb', link: 'flannel.1', mac: '02:00:00:00:00:02', dst: '203.0.113.2' },
    ...(through === 'nexthop'
      ? [{ kind: 'nexthop', link: 'flannel.1', via: '10.244.2.0', onLink: true }]
      : []),
    {
      kind: 'route',
      to: '10.244.2.0/24',
      via: '10.244.2.0',
      link: 'flannel.1',
      onLink: true,
      through,
    },
  ]

  test('is reached by a neighbour, an FDB entry and a route through a nexthop object', () =>
    expect(reach(peer())).toEqual({ kind: 'reachable', objects: tunnel('nexthop') } as never))

  test('is reached by a plain route where the kernel has no nexthop objects', () =>
    expect(reach(peer(), away, settings(), { ...self, nexthopObjects: false })).toEqual({
      kind: 'reachable',
      objects: tunnel('plain'),
    } as never))

  test('on link is routed directly if asked for, by the peer’s own address', () => {
    const direct = settings({ DirectRouting: true })
    expect(reach(peer(), near, direct)).toEqual({
      kind: 'reachable',
      objects: [
        {
          kind: 'route',
          to: prefix('10.244.2.0/24'),
          via: ip('203.0.113.2'),
          link: 'eth0',
          onLink: false,
          through: 'plain',
        },
      ],
    })
    expect(reach(peer(), away, direct)).toEqual({ kind: 'reachable', objects: tunnel('nexthop') } as never)
    expect(reach(peer(), near)).toEqual({ kind: 'reachable', objects: tunnel('nexthop') } as never)
  })

  test('of an older version publishes no VNI', () =>
    expect(reach(peer({ data: { VtepMAC: '02:00:00:00:00:02' } })).kind).toBe('reachable'))

  test('may write its MAC in any form, and its keys in any case', () =>
    expect(reach(peer({ data: { vni: 1, vtepmac: '02-00-00-00-00-02' } }))).toEqual({
      kind: 'reachable',
      objects: tunnel('nexthop'),
    } as never))

  test.each([
    ['of another type', peer({ type: 'host-gw' }), 'it runs the back end host-gw, ours is vxlan'],
    ['of no type', peer({ type: '' }), 'it publishes no back end type'],
    ['without an address', peer({ publicIp: undefined }), 'no IPv4 public address'],
    ['with a multicast address', peer({ publicIp: '224.0.0.1' }), "224.0.0.1 is no host's"],
    ['with a loopback address', peer({ publicIp: '127.0.0.1' }), "127.0.0.1 is no host's"],
    ['with our public address', peer({ publicIp: '203.0.113.1' }), 'our own address 203.0.113.1'],
    ['with our interface’s address', peer({ publicIp: '192.168.0.1' }), 'our own address 192.168.0.1'],
    ['without data', peer({ data: undefined }), 'no VXLAN data'],
    ['with data of another sort', peer({ data: ['x'] }), 'no VXLAN data'],
    ['of another VNI', peer({ data: { VNI: 2, VtepMAC: '02:00:00:00:00:02' } }), 'its VNI is 2, ours is 1'],
    ['without a MAC', peer({ data: { VNI: 1 } }), 'VtepMAC null is not a MAC address'],
    ['with a bad MAC', peer({ data: { VNI: 1, VtepMAC: 'zz' } }), 'VtepMAC "zz" is not a MAC address'],
    ['with a zero MAC', peer({ data: { VtepMAC: '00:00:00:00:00:00' } }), "no single device's address"],
    ['with a multicast MAC', peer({ data: { VtepMAC: '01:00:5e:00:00:01' } }), "no single device's address"],
    ['with our own MAC', peer({ data: { VtepMAC: OWN } }), 'is our own'],
    ['whose subnet overlaps ours', peer({ subnet: '10.244.0.0/16' }), 'overlaps ours, 10.244.1.0/24'],
  ])('%s can’t be reached', (_what, lease, reason) => {
    const result = reach(lease)
    expect(result.kind === 'unreachable' ? result.reason : result.kind).toContain(reason)
  })
})
