// Which kernel settings are wanted, by what a host is like: no more than its pods need, and never what cuts it off.
import { describe, expect, test } from 'bun:test'
import { assert, integer, property } from 'fast-check'
import type { Sysctl } from '../model/kernel.ts'
import { conntrackMax, conntrackSettings, type ConntrackWish } from './conntrack.ts'
import type { HostFacts } from './facts.ts'
import { neighbourSettings } from './neighbours.ts'
import { hostSettings, type HostWish } from './settings.ts'

const ALONE: ConntrackWish = { maxPerCore: 0, min: 131072, tcpEstablishedSeconds: 0, tcpCloseWaitSeconds: 0 }
const WISH: HostWish = {
  families: ['ipv4'],
  devices: [{ name: 'flannel.1', family: 'ipv4' }],
  peers: 3,
  conntrack: ALONE,
  sysctls: true,
}
const DUAL: HostWish = {
  ...WISH,
  families: ['ipv4', 'ipv6'],
  devices: [...WISH.devices, { name: 'flannel-v6.1', family: 'ipv6' }],
}
const FACTS: HostFacts = {
  cores: 4,
  hasIpv6: true,
  forwardsIpv6: true,
  rpFilterOfAll: 0,
  advertisedTo: [],
  neighbourLimits: [],
  kubeProxy: [],
}
const brief = (settings: readonly Sysctl[]): string[] =>
  settings.map(({ name, value, fine }) => `${name} ${fine === 'greater' ? '>=' : '='} ${value}`)
const named = (settings: readonly Sysctl[], name: string): Sysctl | undefined =>
  settings.find((setting) => setting.name === name)

test('where somebody else sets the host’s, a tunnel still hears no advertisements, and conntrack is as asked for', () => {
  const facts: HostFacts = {
    ...FACTS,
    advertisedTo: ['eth0'],
    neighbourLimits: ['ipv4', 'ipv6'],
    kubeProxy: ['ipv4'],
  }
  const off: HostWish = { ...DUAL, peers: 5_000, sysctls: false }
  const devices = ['net/ipv6/conf/flannel.1/accept_ra = 0', 'net/ipv6/conf/flannel-v6.1/accept_ra = 0']
  expect(brief(hostSettings(off, facts, []))).toEqual(devices)
  expect(hostSettings({ ...off, sysctls: true }, facts, []).length).toBeGreaterThan(10)
  const asked = { ...ALONE, maxPerCore: 32_768 }
  expect(hostSettings({ ...off, conntrack: asked }, facts, []).map(({ name }) => name)).toContain(
    'net/netfilter/nf_conntrack_max',
  )
})

test('a host of one family has what that one needs', () => {
  expect(brief(hostSettings(WISH, FACTS, []))).toEqual([
    'net/ipv4/ip_forward = 1',
    'net/ipv4/conf/flannel.1/forwarding = 1',
    'net/ipv4/conf/flannel.1/rp_filter = 2',
    'net/ipv6/conf/flannel.1/accept_ra = 0',
  ])
  expect(brief(hostSettings(WISH, { ...FACTS, hasIpv6: false }, []))).not.toContain(
    'net/ipv6/conf/flannel.1/accept_ra = 0',
  )
  expect(brief(hostSettings({ ...WISH, devices: [] }, FACTS, []))).toEqual(['net/ipv4/ip_forward = 1'])
})

test('what is of a device goes with it, and only what is the whole host’s is remembered', () => {
  for (const { link, undo } of hostSettings(DUAL, FACTS, []))
    expect(undo).toBe(link === undefined ? 'leave' : 'none')
})

test.each([
  [0, [0]],
  [1, undefined],
  [2, [0, 1]],
] as const)(
  'with rp_filter %i of all links the device’s own may be %p beside loose',
  (rpFilterOfAll, fine) => {
    const setting = named(
      hostSettings(WISH, { ...FACTS, rpFilterOfAll }, []),
      'net/ipv4/conf/flannel.1/rp_filter',
    )
    expect(setting?.value).toBe(2)
    expect(setting?.fine).toEqual(fine)
  },
)

describe('IPv6 forwarding', () => {
  test('is on once no link would lose what its router told', () => {
    const settings = hostSettings(
      DUAL,
      { ...FACTS, forwardsIpv6: false, advertisedTo: ['eth0', 'wan.7'] },
      [],
    )
    expect(brief(settings)).toContain('net/ipv6/conf/wan.7/accept_ra = 2')
    expect(named(settings, 'net/ipv6/conf/eth0/accept_ra')).toMatchObject({
      fine: [0],
      link: 'eth0',
      undo: 'leave',
    })
    expect(named(settings, 'net/ipv6/conf/all/forwarding')?.needs).toMatchObject([
      { name: 'net/ipv6/conf/eth0/accept_ra', not: 1 },
      { name: 'net/ipv6/conf/wan.7/accept_ra', not: 1 },
    ])
  })

  test('is on as it was where it was; advertisements that are not heard stay unheard', () => {
    const settings = hostSettings(DUAL, FACTS, [])
    expect(brief(settings).filter((text) => text.includes('accept_ra = 2'))).toEqual([])
    expect(named(settings, 'net/ipv6/conf/all/forwarding')?.needs).toBeUndefined()
  })

  test('keeps to the links that have been kept hearing', () => {
    expect(brief(hostSettings(DUAL, FACTS, ['eth0']))).toContain('net/ipv6/conf/eth0/accept_ra = 2')
  })
})

test('bridged packets are shown to iptables for kube-proxy’s sake alone, in its families and ours', () => {
  expect(brief(hostSettings(DUAL, { ...FACTS, kubeProxy: ['ipv4', 'ipv6'] }, []))).toEqual(
    expect.arrayContaining([
      'net/bridge/bridge-nf-call-iptables = 1',
      'net/bridge/bridge-nf-call-ip6tables = 1',
    ]),
  )
  const one = hostSettings(WISH, { ...FACTS, kubeProxy: ['ipv4', 'ipv6'] }, [])
  expect(brief(one).filter((text) => text.includes('bridge'))).toEqual([
    'net/bridge/bridge-nf-call-iptables = 1',
  ])
  expect(brief(hostSettings(DUAL, FACTS, [])).filter((text) => text.includes('bridge'))).toEqual([])
})

describe('neighbours', () => {
  test('of a small cluster fit in what the kernel has by default', () => {
    expect(brief(neighbourSettings('ipv4', 100))).toEqual([
      'net/ipv4/neigh/default/gc_thresh1 >= 128',
      'net/ipv4/neigh/default/gc_thresh2 >= 512',
      'net/ipv4/neigh/default/gc_thresh3 >= 1024',
    ])
  })

  test('always have room twice over, in rising thresholds', () => {
    assert(
      property(integer({ min: 0, max: 100_000 }), (peers) => {
        const [first = 0, second = 0, third = 0] = neighbourSettings('ipv6', peers).map(({ value }) => value)
        expect(first < second && second < third).toBe(true)
        expect(third).toBeGreaterThanOrEqual(4 * peers)
        expect(Number.isInteger(first)).toBe(true)
      }),
    )
  })

  test('are bounded only where the settings are: in the host’s own namespace', () => {
    const settings = hostSettings({ ...DUAL, peers: 5_000 }, { ...FACTS, neighbourLimits: ['ipv4'] }, [])
    expect(brief(settings).filter((text) => text.includes('gc_thresh3'))).toEqual([
      'net/ipv4/neigh/default/gc_thresh3 >= 32768',
    ])
  })
})

describe('connection tracking', () => {
  // As kube-proxy's own tests (Kubernetes 1.36, pkg/proxy/conntrack/sysctls_test.go, TestGetConntrackMax).
  test.each([
    { maxPerCore: 0, min: 0, cores: 1, max: undefined },
    { maxPerCore: 0, min: 123, cores: 1, max: undefined },
    { maxPerCore: 10, min: 0, cores: 4, max: 40 },
    { maxPerCore: 10, min: 1000, cores: 4, max: 1000 },
    { maxPerCore: 32768, min: 131072, cores: 8, max: 262144 },
    { maxPerCore: 32768, min: 131072, cores: 256, max: 1048576 },
  ])('%o', ({ max, cores, ...wish }) => {
    expect(conntrackMax({ ...ALONE, ...wish }, cores)).toBe(max)
  })

  test('is left alone unless it is asked for', () => {
    expect(conntrackSettings(ALONE, 64)).toEqual([])
  })

  test('gets buckets before it gets more entries, and timeouts to the letter', () => {
    const wish = { maxPerCore: 32768, min: 131072, tcpEstablishedSeconds: 86400, tcpCloseWaitSeconds: 3600 }
    const settings = conntrackSettings(wish, 2)
    expect(brief(settings)).toEqual([
      'net/netfilter/nf_conntrack_buckets >= 32768',
      'net/netfilter/nf_conntrack_max >= 131072',
      'net/netfilter/nf_conntrack_tcp_timeout_established = 86400',
      'net/netfilter/nf_conntrack_tcp_timeout_close_wait = 3600',
    ])
    expect(settings[1]?.needs).toMatchObject([{ name: 'net/netfilter/nf_conntrack_buckets', least: 32768 }])
  })
})
