// Whose an object is, what makes two the same, what the kernel drops with a change.
import { describe, expect, test } from 'bun:test'
import { device, SCOPE } from '../../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../../test/support/values.ts'
import {
  address,
  blackhole,
  type Blackhole,
  neighbour,
  type NftTable,
  nexthop,
  route,
  type Route,
} from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'
import { addressKind } from './address.ts'
import { blackholeKind } from './blackhole.ts'
import { fdbKind } from './fdb.ts'
import { linkKind } from './link.ts'
import { neighbourKind } from './neighbour.ts'
import { nexthopKind } from './nexthop.ts'
import { nftTableKind } from './nft-table.ts'
import { routeKind, RTPROT } from './route.ts'

const at = (to: string, changes: Partial<Route> = {}): Route =>
  route({
    to: prefix(to),
    via: ip('10.2.1.0'),
    link: 'flannel.1',
    onLink: true,
    through: 'plain',
    ...changes,
  })

describe('a route', () => {
  test.each([
    ['with our protocol in our networks, anywhere', at('10.2.1.0/24', { link: 'eth0' }), 'ours'],
    ['with our protocol on our link, beyond our networks', at('172.16.0.0/24'), 'ours'],
    [
      'with our protocol, neither on our link nor in our networks',
      at('172.16.0.0/24', { link: 'eth0' }),
      'foreign',
    ],
    ['of upstream on our link', at('10.2.1.0/24', { protocol: RTPROT.boot }), 'ours'],
    ['of anybody on our link in our networks', at('10.2.1.0/24', { protocol: 4 }), 'ours'],
    ['of anybody on our link beyond our networks', at('172.16.0.0/24', { protocol: 4 }), 'foreign'],
    ['of the kernel on our link', at('10.2.1.0/24', { protocol: RTPROT.kernel }), 'foreign'],
    ['of upstream on another link', at('10.2.1.0/24', { protocol: RTPROT.boot, link: 'eth0' }), 'adopt'],
    [
      'of upstream beyond our networks',
      at('172.16.0.0/24', { protocol: RTPROT.boot, link: 'eth0' }),
      'foreign',
    ],
    ['of an administrator', at('10.2.1.0/24', { protocol: 4, link: 'eth0' }), 'foreign'],
  ] as const)('%s', (_what, have, owner) => expect(routeKind.ours(have, SCOPE)).toBe(owner))

  test('is the same only with our protocol, and adopted only if equal else', () => {
    const boot = at('10.2.1.0/24', { protocol: RTPROT.boot })
    expect(routeKind.same(at('10.2.1.0/24'), at('10.2.1.0/24'))).toBe(true)
    expect(routeKind.same(at('10.2.1.0/24'), boot)).toBe(false)
    expect(routeKind.adopts(at('10.2.1.0/24'), boot)).toBe(true)
    for (const other of [
      { via: ip('10.2.2.0') },
      { link: 'eth0' },
      { onLink: false },
      { through: 'nexthop' as const },
      { unrecognised: 'source' },
      { mtuBytes: 1350 },
    ]) {
      expect(routeKind.adopts(at('10.2.1.0/24'), at('10.2.1.0/24', other))).toBe(false)
      expect(routeKind.same(at('10.2.1.0/24'), at('10.2.1.0/24', other))).toBe(false)
    }
  })
})

test('an address is ours on our links inside our networks; link-local ones never are', () => {
  const owner = (link: string, text: string) =>
    addressKind.ours(address({ link, ip: ip(text), length: 32 }), SCOPE)
  expect(owner('flannel.1', '10.1.0.0')).toBe('ours')
  expect(owner('flannel.1', '172.16.0.1')).toBe('foreign')
  expect(owner('cni0', '10.1.0.1')).toBe('foreign')
  const v6 = { ...SCOPE, networks: [prefix('fe80::/10'), prefix('fd00::/8')] }
  const owner6 = (text: string) =>
    addressKind.ours(address({ link: 'flannel.1', ip: ip(text), length: 128 }), v6)
  expect([owner6('fe80::1'), owner6('fd00::1')]).toEqual(['foreign', 'ours'])
})

test('a blackhole is ours by protocol inside our networks, and upstream’s may be taken over', () => {
  const to = prefix('10.1.0.0/24')
  const owner = (changes: Partial<Blackhole>) => blackholeKind.ours({ ...blackhole(to), ...changes }, SCOPE)
  expect(owner({})).toBe('ours')
  expect(owner({ metric: 7 })).toBe('ours')
  expect(owner({ to: prefix('172.16.0.0/24') })).toBe('foreign')
  expect(owner({ protocol: RTPROT.boot, metric: 0 })).toBe('adopt')
  expect(owner({ protocol: RTPROT.boot, metric: 7 })).toBe('foreign')
  expect(owner({ protocol: 4, metric: 0 })).toBe('foreign')
  expect(blackholeKind.same(blackhole(to), { ...blackhole(to), metric: 7 })).toBe(false)
  expect(blackholeKind.adopts(blackhole(to), { ...blackhole(to), protocol: RTPROT.boot, metric: 0 })).toBe(
    true,
  )
})

test('a link is the same only if all that we ask for is', () => {
  for (const other of [
    device({ mac: mac('02:00:00:00:00:02') }),
    device({ mtuBytes: 1 }),
    { ...device(), up: false },
    { ...device(), unrecognised: 'proxy' },
    device({ vxlan: { vni: 2 } }),
    device({ vxlan: { port: 1 } }),
    device({ vxlan: { local: ip('192.168.0.2') } }),
    device({ vxlan: { underlay: 'eth1' } }),
    device({ vxlan: { learning: true } }),
    device({ vxlan: { gbp: true } }),
  ])
    expect(linkKind.same(device(), other)).toBe(false)
  expect(linkKind.same(device(), device())).toBe(true)
  const off = device({ checksumOffload: false })
  expect(linkKind.same(device(), off)).toBe(true)
  expect(linkKind.same(off, device())).toBe(false)
  expect(linkKind.same(device({ checksumOffload: true }), device())).toBe(true)
  expect(linkKind.same(device({ checksumOffload: true }), off)).toBe(false)
  expect(linkKind.disturbs(device(), off)).toEqual([])
})

test('what the kernel drops with a change', () => {
  const all = ['address', 'neighbour', 'fdb', 'nexthop', 'route']
  expect(linkKind.disturbs(undefined, device())).toEqual(all as never)
  expect(linkKind.disturbs(device(), undefined)).toEqual(all as never)
  expect(linkKind.disturbs(device(), { ...device(), up: false })).toEqual(all as never)
  expect(linkKind.disturbs(device(), device({ vxlan: { gbp: true } }))).toEqual(all as never)
  expect(linkKind.disturbs(device(), device({ mac: mac('02:00:00:00:00:02') }))).toEqual(['neighbour'])
  expect(linkKind.disturbs(device(), device({ mtuBytes: 1400 }))).toEqual([])
  const a = address({ link: 'flannel.1', ip: ip('10.1.0.0'), length: 32 })
  expect(addressKind.disturbs(a, undefined)).toEqual(['neighbour', 'route'])
  expect(addressKind.disturbs(undefined, a)).toEqual([])
  const n = nexthop({ via: ip('10.2.1.0'), link: 'flannel.1', onLink: true })
  expect(nexthopKind.disturbs(n, undefined)).toEqual(['route'])
  expect(nexthopKind.disturbs(undefined, n)).toEqual([])
})

test('keys name what a person would', () => {
  expect(linkKind.key(device())).toBe('flannel.1')
  expect(nexthopKind.key(nexthop({ via: ip('10.2.1.0'), link: 'flannel.1', onLink: true }))).toBe(
    'ipv4|10.2.1.0|flannel.1',
  )
  const n = neighbour({ link: 'flannel.1', ip: ip('10.2.1.0'), mac: mac('02:00:00:00:00:02') })
  expect(neighbourKind.key(n)).toBe('flannel.1|10.2.1.0')
  expect(routeKind.key(at('10.2.1.0/24'))).toBe('10.2.1.0/24')
})

test('kinds come after what they need', () => {
  const kinds: readonly Pick<Kind<never>, 'name' | 'after'>[] = [
    linkKind,
    addressKind,
    neighbourKind,
    fdbKind,
    nexthopKind,
    routeKind,
    blackholeKind,
    nftTableKind,
  ]
  const names = kinds.map(({ name }) => name)
  for (const kind of kinds)
    for (const before of kind.after) expect(names.indexOf(before)).toBeLessThan(names.indexOf(kind.name))
})

describe('a table', () => {
  const table = (changes: Partial<NftTable> = {}): NftTable => ({
    kind: 'nft-table',
    family: 'ipv4',
    name: 'flannel-ipv4',
    chains: [
      {
        name: 'postrtg',
        hook: { type: 'nat', at: 'postrouting', priority: 100 },
        rules: [
          {
            matches: [
              { match: 'mark', value: 0x4000, mask: 0x4000 },
              { match: 'saddr', not: false, prefix: prefix('10.0.0.0/8') },
            ],
            verdict: { verdict: 'return' },
          },
          { matches: [], verdict: { verdict: 'masquerade', fullyRandom: true } },
        ],
      },
      { name: 'forward', hook: { type: 'filter', at: 'forward', priority: 0 }, rules: [] },
    ],
    ...changes,
  })
  const [postrouting, forward] = table().chains
  if (postrouting === undefined || forward === undefined) throw new Error('two chains')
  const [first, second] = postrouting.rules
  if (first === undefined || second === undefined) throw new Error('two rules')
  const withRules = (rules: typeof postrouting.rules) =>
    table({ chains: [{ ...postrouting, rules }, forward] })

  test('is the same whatever its comments, and whatever order its chains are told in', () => {
    expect(
      nftTableKind.same(
        table(),
        table({ comment: 'x', chains: [forward, { ...postrouting, comment: 'y' }] }),
      ),
    ).toBe(true)
  })
  test.each([
    ['unrecognised content', table({ unrecognised: 'a set' })],
    ['a chain less', table({ chains: [postrouting] })],
    [
      'another hook',
      table({ chains: [{ ...postrouting, hook: { ...postrouting.hook, priority: 101 } }, forward] }),
    ],
    ['rules in another order', withRules([second, first])],
    ['a rule less', withRules([first])],
    [
      'another verdict',
      withRules([first, { matches: [], verdict: { verdict: 'masquerade', fullyRandom: false } }]),
    ],
    ['a match less', withRules([{ ...first, matches: first.matches.slice(1) }, second])],
    [
      'another mark',
      withRules([
        { ...first, matches: [{ match: 'mark', value: 1, mask: 0x4000 }, ...first.matches.slice(1)] },
        second,
      ]),
    ],
    [
      'a negated match',
      withRules([
        {
          ...first,
          matches: [
            ...first.matches.slice(0, 1),
            { match: 'saddr', not: true, prefix: prefix('10.0.0.0/8') },
          ],
        },
        second,
      ]),
    ],
  ])('differs with %s', (_what, have) => expect(nftTableKind.same(table(), have)).toBe(false))

  test('is ours by family and name', () => {
    const scope = { ...SCOPE, tables: new Set(['ipv4 flannel-ipv4']) }
    expect(nftTableKind.ours(table(), scope)).toBe('ours')
    expect(nftTableKind.ours(table({ family: 'ipv6' }), scope)).toBe('foreign')
  })
})
