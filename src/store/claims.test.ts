// Who stays, against a plain search through all pairs: whatever came before, the verdicts are what the leases that
// there are mean, and of two that can't stand side by side the earlier stays.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { AT_ONCE, dual, gone, lease, missed, put, snapshot, uniqueOf } from '../../test/support/leases.ts'
import type { Family } from '../model/ip.ts'
import { subnetsOf, type Lease, type SubnetKey } from '../model/lease.ts'
import { lengthOf, overlaps } from '../model/prefix.ts'
import { NOWHERE, type Surroundings } from '../model/surroundings.ts'
import { LeaseTable } from './lease-table.ts'
import type { LeaseEvent } from './store.ts'

const ours = lease('10.3.1.0-24&fd00:3:0:1::-64', '192.168.0.1', 1, { ipv6: '2001:db8::1' })
const MACS = ['02:42:00:00:00:01', '02:42:00:00:00:02', '02:42:00:00:00:03']

/** Few subnets, hosts and MACs, so that they collide; some out of the network, some in this host's way. */
const leases = fc
  .record({
    n: fc.integer({ min: 0, max: 5 }),
    n6: fc.option(fc.integer({ min: 0, max: 5 })),
    length: fc.constantFrom(24, 24, 24, 23, 25),
    length6: fc.constantFrom(64, 64, 62),
    net: fc.constantFrom('10.3', '10.3', '10.3', '10.4'),
    host: fc.constantFrom(
      '192.168.0.1',
      '192.168.0.2',
      '192.168.0.3',
      '192.168.0.4',
      '10.3.2.9',
      '10.3.4.200',
    ),
    host6: fc.constantFrom('2001:db8::1', '2001:db8::2', '2001:db8::3', 'fd00:3:0:2::9', null),
    revision: fc.integer({ min: 1, max: 6 }),
    mac: fc.constantFrom(...MACS, undefined),
    mac6: fc.constantFrom(...MACS, undefined),
  })
  .map(({ n, n6, length, length6, net, host, host6, revision, mac, mac6 }) => {
    const ipv4 = `${net}.${length === 23 ? n & ~1 : n}.0-${length}`
    const ipv6 = n6 === null ? '' : `&fd00:3:0:${length6 === 62 ? n6 & ~3 || '' : n6 || ''}::-${length6}`
    return lease(`${ipv4}${ipv6.replace(':0:::', '::')}`, host, revision, {
      ipv6: host6,
      ...(mac !== undefined && { mac }),
      ...(mac6 !== undefined && { mac6 }),
    })
  })
const distinct = fc.uniqueArray(leases, { selector: (l) => l.key, maxLength: 9 })
const BRIDGE: Surroundings = {
  connected: [{ prefix: '10.3.3.0/24' as never, ip: '10.3.3.1' as never, link: 'docker0' }],
  gateways: ['10.3.5.1' as never],
}
type Step = LeaseEvent | 'expire' | { readonly around: Surroundings } | { readonly own: Lease }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: leases.map(put) },
  { weight: 2, arbitrary: leases.map((l) => gone(l.key)) },
  leases.map((l) => missed(l.key)),
  fc.tuple(fc.constantFrom('a', 'a', 'b'), distinct).map(([h, ls]) => snapshot(h, ...ls)),
  leases.map((l): LeaseEvent => ({ kind: 'rejected', key: l.key, reason: 'unreadable' })),
  fc.constantFrom<Step>('expire', { around: BRIDGE }, { around: NOWHERE }),
  leases.map((own) => ({ own })),
)
const graces = fc.constantFrom(AT_ONCE, { deletedMs: 3, missedMs: 9, resetMs: 20 })

const act = (t: LeaseTable, one: Step, now: number) => {
  if (one === 'expire') return t.expire(t.deadlineMs ?? 0)
  if ('around' in one) return t.surround(one.around)
  if ('own' in one) return t.reconfigure(dual, one.own)
  return t.apply(one, now)
}

interface Half {
  readonly key: SubnetKey
  readonly revision: bigint
  readonly first: bigint
  readonly last: bigint
  readonly host: bigint | undefined
  readonly mac: string | undefined
}
const numberOf = (text: string): bigint => {
  if (!text.includes(':')) return text.split('.').reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n)
  const [head = '', tail = ''] = text.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const middle = Array<string>(8 - groups(head).length - groups(tail).length).fill('0')
  return [...groups(head), ...middle, ...groups(tail)].reduce((sum, g) => (sum << 16n) | BigInt(`0x${g}`), 0n)
}
const blockOf = (prefix: string) => {
  const first = numberOf(prefix.slice(0, prefix.indexOf('/')))
  const bits = prefix.includes(':') ? 128 : 32
  return { first, last: first + (1n << BigInt(bits - Number(prefix.slice(prefix.indexOf('/') + 1)))) - 1n }
}
type Block = Pick<Half, 'first' | 'last'>
const meet = (x: Block, y: Block) => x.first <= y.last && y.first <= x.last
const inside = (x: Block, y: Block) => x.first >= y.first && x.last <= y.last
const holds = (x: Block, at: bigint | undefined) => at !== undefined && x.first <= at && at <= x.last

/** The keys that may be used in a family, by a search through all pairs. */
function oracle(content: readonly Lease[], family: Family, own: Lease, around: Surroundings): Set<SubnetKey> {
  const network = blockOf(dual[family]?.network ?? '')
  const mine = own[family]
  const links = around.connected
    .map((c) => ({ ...blockOf(c.prefix), ip: numberOf(c.ip), isV6: c.ip.includes(':') }))
    .filter(({ isV6 }) => isV6 === (family === 'ipv6'))
    .filter((link) => mine === undefined || !inside(link, blockOf(mine.subnet)))
  const needed = [
    ...links.map(({ ip }) => ip),
    ...around.gateways.filter((ip) => ip.includes(':') === (family === 'ipv6')).map(numberOf),
    ...(mine?.publicIp === undefined ? [] : [numberOf(mine.publicIp)]),
  ]
  const halves = content.flatMap((l): Half[] => {
    const half = l[family]
    if (half === undefined || l.key === own.key) return []
    const host = half.publicIp === undefined ? undefined : numberOf(half.publicIp)
    const data = half.backendData as { readonly VtepMAC?: string } | undefined
    return [{ key: l.key, revision: l.createRevision, ...blockOf(half.subnet), host, mac: data?.VtepMAC }]
  })
  const good = halves.filter((half) => {
    if (half.first < network.first || half.last > network.last) return false
    if (mine !== undefined && (meet(half, blockOf(mine.subnet)) || holds(blockOf(mine.subnet), half.host)))
      return false
    if (half.host !== undefined && mine?.publicIp !== undefined && half.host === numberOf(mine.publicIp))
      return false
    if (links.some((link) => inside(link, half))) return false
    return !holds(half, half.host) && !needed.some((at) => holds(half, at))
  })
  good.sort((x, y) => Number(x.revision - y.revision) || (x.key < y.key ? -1 : 1))
  const standing: Half[] = []
  for (const half of good) {
    const beaten = standing.some(
      (other) =>
        meet(half, other) ||
        holds(half, other.host) ||
        holds(other, half.host) ||
        (half.mac !== undefined && half.mac === other.mac && half.host !== other.host),
    )
    if (!beaten) standing.push(half)
  }
  return new Set(standing.map(({ key }) => key))
}

test('weak point 65: the peers are what the leases there are mean, whatever came before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), distinct, graces, (steps, last, times) => {
      const t = new LeaseTable(dual, ours, times, uniqueOf)
      let around = NOWHERE
      let own = ours
      for (const [now, one] of steps.entries()) {
        if (one !== 'expire' && 'around' in one) around = one.around
        if (one !== 'expire' && 'own' in one) own = one.own
        act(t, one, now)
      }
      for (const l of last) t.apply(put(l), 100)
      const wanted = new Set<string>(last.map((l) => l.key))
      for (const l of [...t.peers.keys(), ...t.refused.keys()]) if (!wanted.has(l)) t.apply(gone(l), 100)
      t.expire(1000)
      const fresh = new LeaseTable(dual, own, AT_ONCE, uniqueOf)
      fresh.surround(around)
      fresh.apply(snapshot('z', ...last.toReversed()), 0)
      const sorted = (m: ReadonlyMap<string, unknown>) => [...m].sort(([x], [y]) => (x < y ? -1 : 1))
      expect(sorted(t.peers)).toEqual(sorted(fresh.peers))
      expect(sorted(t.refused)).toEqual(sorted(fresh.refused))
      for (const family of ['ipv4', 'ipv6'] as const) {
        const used = [...t.peers.values()].filter((l) => l[family] !== undefined).map((l) => l.key)
        expect(used.sort()).toEqual([...oracle(last, family, own, around)].sort())
      }
    }),
    { numRuns: 250 },
  )
}, 60_000)

test('the changes lead to the peers, no two of which overlap each other or us', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), graces, (steps, times) => {
      const t = new LeaseTable(dual, ours, times, uniqueOf)
      const mirror = new Map<SubnetKey, Lease>()
      let own = ours
      for (const [now, one] of steps.entries()) {
        if (one !== 'expire' && 'own' in one) own = one.own
        for (const change of act(t, one, now))
          if (change.kind === 'put') {
            const before = mirror.get(change.lease.key)
            if (before)
              expect({ ...before, createRevision: 0n }).not.toEqual({ ...change.lease, createRevision: 0n })
            mirror.set(change.lease.key, change.lease)
          } else expect(mirror.delete(change.key)).toBe(true)
        const content = (l: Lease) => JSON.stringify({ ...l, createRevision: 0 })
        expect([...mirror.values()].map(content).sort()).toEqual([...t.peers.values()].map(content).sort())
        const subnets = [...t.peers.values(), own].flatMap(subnetsOf)
        for (const [i, x] of subnets.entries())
          for (const y of subnets.slice(i + 1)) expect(lengthOf(x) > 0 && overlaps(x, y)).toBe(false)
      }
    }),
    { numRuns: 150 },
  )
}, 60_000)
