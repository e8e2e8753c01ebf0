// The vxlan back end's plans, without a kernel: options, what this host has and publishes, what reaches a peer.
import { describe, expect, test } from 'bun:test'
import { leaseOf } from '../model/lease.ts'
import type { Json, Lease } from '../model/lease.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import type { IPv4, IPv6 } from '../model/ip.ts'
import type { Self, Underlay } from './backend.ts'
import { vxlan, vxlanDevice, type VxlanSettings } from './vxlan.ts'

const OWN = mac('02:00:00:00:00:01')
const self: Self = {
  link: 'eth0',
  mtuBytes: 1500,
  ipv4: { address: ip('192.168.0.1') as IPv4, publicIp: ip('203.0.113.1') as IPv4 },
  ipv6: undefined,
  macOf: () => OWN,
  subnets: [prefix('10.244.1.0/24')],
  nexthopUse: 'tunnels',
}
const OWN_V6 = mac('02:06:00:00:00:01')
const dual: Self = {
  ...self,
  ipv6: { address: ip('fd00:1::1') as IPv6, publicIp: ip('2001:db8::1') as IPv6 },
  macOf: (device) => (device === 'flannel-v6.1' ? OWN_V6 : OWN),
  subnets: [prefix('10.244.1.0/24'), prefix('fd00:5:0:1::/64')],
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
          local: ip('192.168.0.1'),
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
    expect(vxlan.podMtuBytes(self, settings())).toBe(1450)
    expect(vxlan.podMtuBytes(dual, settings())).toBe(1430)
    expect(vxlan.podMtuBytes({ ...dual, ipv4: undefined }, settings())).toBe(1430)
    expect(vxlan.podMtuBytes(self, settings({ MTU: 1400 }))).toBe(1350)
    expect(vxlan.podMtuBytes(self, settings({ MTU: 9000 }))).toBe(1450)
    expect(vxlan.refuses(self, settings())).toBeUndefined()
    expect(vxlan.refuses({ ...self, mtuBytes: 100 }, settings())).toContain('too small for IPv4')
  })

  test('is refused IPv6 on an underlay that leaves it less than 1280 bytes', () => {
    expect(vxlan.refuses({ ...dual, mtuBytes: 1350 }, settings())).toBeUndefined()
    expect(vxlan.refuses({ ...dual, mtuBytes: 1349 }, settings())).toContain('switch off EnableIPv6')
    expect(vxlan.refuses({ ...self, mtuBytes: 1349 }, settings())).toBeUndefined()
    expect(vxlan.refuses(dual, settings({ MTU: 1300 }))).toContain('1300 bytes (eth0 has 1500)')
  })

  // Upstream's device is on the public address, and 20 bytes too large.
  test('weak points 10 and 11: has a device for each family, on the interface’s address, with 50 and 70 bytes less', () => {
    expect(vxlan.devices(dual, settings())).toMatchObject([
      { name: 'flannel.1', mac: OWN, mtuBytes: 1450, vxlan: { vni: 1, port: 8472, local: '192.168.0.1' } },
      { kind: 'address', link: 'flannel.1', ip: '10.244.1.0', length: 32 },
      {
        name: 'flannel-v6.1',
        mac: OWN_V6,
        mtuBytes: 1430,
        vxlan: { vni: 1, port: 8472, local: 'fd00:1::1' },
      },
      { kind: 'address', link: 'flannel-v6.1', ip: 'fd00:5:0:1::', length: 128 },
    ])
    expect(vxlan.publish(dual, settings())).toEqual({
      ipv4: { VNI: 1, VtepMAC: OWN },
      ipv6: { VNI: 1, VtepMAC: OWN_V6 },
    })
    expect(vxlan.publish({ ...dual, ipv4: undefined }, settings()).ipv4).toBeUndefined()
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
    expect(reach(peer())).toEqual({ refusals: [], objects: tunnel('nexthop') } as never))

  test('is reached by a plain route where the kernel has no nexthop objects', () =>
    expect(reach(peer(), away, settings(), { ...self, nexthopUse: 'none' })).toEqual({
      refusals: [],
      objects: tunnel('plain'),
    } as never))

  test('on link is routed directly if asked for, by the peer’s own address', () => {
    const direct = settings({ DirectRouting: true })
    expect(reach(peer(), near, direct)).toEqual({
      refusals: [],
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
    expect(reach(peer(), away, direct)).toEqual({ refusals: [], objects: tunnel('nexthop') } as never)
    expect(reach(peer(), near)).toEqual({ refusals: [], objects: tunnel('nexthop') } as never)
  })

  test('at the end of a smaller path gets its MTU on the route, if not routed directly', () => {
    const small = (near: Underlay): Underlay => ({
      ...near,
      tunnelMtuBytes: (subnet) => (subnet === '10.244.2.0/24' ? 1350 : undefined),
    })
    for (const through of ['nexthop', 'plain'] as const) {
      const nexthopUse = through === 'plain' ? 'none' : 'tunnels'
      const { objects } = reach(peer(), small(away), settings(), { ...self, nexthopUse })
      expect(objects.at(-1)).toMatchObject({ kind: 'route', through, mtuBytes: 1350 })
    }
    const { objects } = reach(peer({ subnet: '10.244.3.0/24' }), small(away))
    expect(objects.at(-1)).not.toHaveProperty('mtuBytes')
    const direct = reach(peer(), small(near), settings({ DirectRouting: true }))
    expect(direct.objects[0]).not.toHaveProperty('mtuBytes')
  })

  test('of an older version publishes no VNI', () =>
    expect(reach(peer({ data: { VtepMAC: '02:00:00:00:00:02' } })).refusals).toEqual([]))

  test('may write its MAC in any form, and its keys in any case', () =>
    expect(reach(peer({ data: { vni: 1, vtepmac: '02-00-00-00-00-02' } }))).toEqual({
      refusals: [],
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
    expect(result).toMatchObject({ objects: [], refusals: [{ family: 'ipv4' }] })
    expect(result.refusals[0]?.reason).toContain(reason)
  })

  const half = {
    subnet: prefix('fd00:5:0:2::/64'),
    publicIp: ip('2001:db8::2') as IPv6,
    backendData: { VNI: 1, VtepMAC: '02:06:00:00:00:02' },
  }
  const both = (changes: object = {}): Lease => ({ ...peer(), ipv6: { ...half, ...changes } })

  test('of both families is reached by each through its own device', () => {
    const { objects, refusals } = reach(both(), away, settings(), dual)
    expect(refusals).toEqual([])
    expect(objects.slice(0, 4)).toEqual(tunnel('nexthop') as never)
    expect(objects.slice(4)).toMatchObject([
      { kind: 'neighbour', link: 'flannel-v6.1', ip: 'fd00:5:0:2::', mac: '02:06:00:00:00:02' },
      { kind: 'fdb', link: 'flannel-v6.1', mac: '02:06:00:00:00:02', dst: '2001:db8::2' },
      { kind: 'nexthop', link: 'flannel-v6.1', via: 'fd00:5:0:2::', onLink: true },
      { kind: 'route', to: 'fd00:5:0:2::/64', via: 'fd00:5:0:2::', link: 'flannel-v6.1', through: 'nexthop' },
    ])
  })

  test('may be on link by one family and not by the other', () => {
    const nearBy6: Underlay = { isOnLink: (to) => to.includes(':') }
    const { objects } = reach(both(), nearBy6, settings({ DirectRouting: true }), dual)
    expect(objects.slice(0, 4)).toEqual(tunnel('nexthop') as never)
    expect(objects.slice(4)).toMatchObject([
      { kind: 'route', to: 'fd00:5:0:2::/64', via: '2001:db8::2', link: 'eth0', through: 'plain' },
    ])
  })

  test.each([
    ['has none', { ...both(), ipv6: undefined }, 'no IPv6 subnet'],
    ['has no address', both({ publicIp: undefined }), 'no IPv6 public address'],
    ['has the unspecified address', both({ publicIp: ip('::') }), ":: is no host's"],
    ['has a loopback address', both({ publicIp: ip('::1') }), "::1 is no host's"],
    ['has a multicast address', both({ publicIp: ip('ff02::1') }), "ff02::1 is no host's"],
    ['has a mapped address', both({ publicIp: ip('::ffff:1.2.3.4') }), "::ffff:1.2.3.4 is no host's"],
    ['has our public address', both({ publicIp: ip('2001:db8::1') }), 'our own address 2001:db8::1'],
    ['has our interface’s address', both({ publicIp: ip('fd00:1::1') }), 'our own address fd00:1::1'],
    ['has no data', both({ backendData: undefined }), 'no VXLAN data'],
    ['has our MAC', both({ backendData: { VNI: 1, VtepMAC: OWN_V6 } }), 'is our own'],
    ['overlaps our subnet', both({ subnet: prefix('fd00:5::/48') }), 'overlaps ours, fd00:5:0:1::/64'],
  ])('whose IPv6 half %s keeps IPv4', (_what, lease, reason) => {
    const { objects, refusals } = reach(lease, away, settings(), dual)
    expect(objects).toEqual(tunnel('nexthop') as never)
    expect(refusals).toMatchObject([{ family: 'ipv6', reason: expect.stringContaining(reason) }])
  })
})
