// The table of peers: what changes, what is refused and why, what a wiped store means.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { parseLease, subnetsOf, type Lease, type SubnetKey } from '../model/lease.ts'
import { parseNetworkConfig } from '../model/net-config.ts'
import { overlaps } from '../model/prefix.ts'
import { gracesOf, type Graces } from './graces.ts'
import { LeaseTable, type LeaseChange } from './lease-table.ts'
import type { LeaseEvent } from './store.ts'

const GRACE_MS = 600_000
/** Deletions act at once. */
const AT_ONCE: Graces = { deletedMs: 0, missedMs: 0, resetMs: GRACE_MS }
const PATIENT: Graces = { deletedMs: 1_000, missedMs: 15_000, resetMs: GRACE_MS }
const config = parseNetworkConfig('{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}')
const dual = parseNetworkConfig('{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48"}')

function lease(key: string, publicIp: string, createRevision = 1, data: object = { VNI: 1 }): Lease {
  const value = { PublicIP: publicIp, PublicIPv6: null, BackendType: 'vxlan', BackendData: data }
  const parsed = parseLease(key, JSON.stringify(value), BigInt(createRevision))
  return typeof parsed === 'string' ? expect.unreachable(parsed) : parsed
}
const own = lease('10.3.1.0-24', '192.168.0.1')
const key = (text: string) => text as SubnetKey
const snapshot = (history: string, ...leases: Lease[]): LeaseEvent => ({
  kind: 'snapshot',
  history,
  leases,
  rejected: [],
})
const put = (l: Lease): LeaseEvent => ({ kind: 'put', lease: l })
const gone = (text: string): LeaseEvent => ({ kind: 'delete', subnet: key(text) })
const missed = (text: string): LeaseEvent => ({ kind: 'delete', subnet: key(text), missed: true })
const told = (changes: readonly LeaseChange[]): string[] =>
  changes.map((c) => (c.kind === 'put' ? `+${c.lease.key}` : `-${c.key}`)).sort()
const tableWith = (graces: Graces, ...leases: Lease[]): LeaseTable => {
  const t = new LeaseTable(config, own, graces)
  t.apply(snapshot('a', ...leases), 0)
  return t
}
const table = (...leases: Lease[]): LeaseTable => tableWith(AT_ONCE, ...leases)
const a = lease('10.3.2.0-24', '192.168.0.2', 2)
const b = lease('10.3.3.0-24', '192.168.0.3', 3)

describe('within one history', () => {
  test('weak point 3: a snapshot tells every peer once, and never our own lease', () => {
    const t = new LeaseTable(config, own, AT_ONCE)
    expect(told(t.apply(snapshot('a', own, a, b), 0))).toEqual(['+10.3.2.0-24', '+10.3.3.0-24'])
    expect(t.apply(snapshot('a', own, a, b), 0)).toEqual([])
    expect([...t.peers.keys()]).toEqual([a.key, b.key])
    expect(t.refused.size).toBe(0)
  })

  test('absence in a snapshot, and a delete event, act at once', () => {
    const t = table(a, b)
    expect(told(t.apply(snapshot('a', b), 0))).toEqual(['-10.3.2.0-24'])
    expect(told(t.apply(gone('10.3.3.0-24'), 0))).toEqual(['-10.3.3.0-24'])
    expect(t.apply(gone('10.3.3.0-24'), 0)).toEqual([])
    expect(t.peers.size).toBe(0)
  })

  test('weak point 3: a changed attribute is told, also by a snapshot; a new revision alone is not', () => {
    const t = table(a, b)
    const moved = lease('10.3.2.0-24', '192.168.0.9', 2)
    expect(t.apply(snapshot('a', moved, b), 0)).toEqual([{ kind: 'put', lease: moved }])
    const newMac = lease('10.3.3.0-24', '192.168.0.3', 3, { VNI: 1, VtepMAC: '02:00:00:00:00:01' })
    expect(t.apply(put(newMac), 0)).toEqual([{ kind: 'put', lease: newMac }])
    expect(t.apply(put({ ...newMac, createRevision: 77n }), 0)).toEqual([])
  })

  test('a lease that can’t be read any more stays as it was, with the reason', () => {
    const t = table(a, b)
    expect(t.apply({ kind: 'rejected', key: '10.3.2.0-24', reason: 'not JSON' }, 0)).toEqual([])
    expect(t.peers.get(a.key)).toEqual(a)
    expect(t.refused.get('10.3.2.0-24')).toBe('not JSON')
    const rejected = [{ key: '10.3.2.0-24', reason: 'still not JSON' }]
    expect(t.apply({ kind: 'snapshot', history: 'a', leases: [b], rejected }, 0)).toEqual([])
    expect(t.refused.get('10.3.2.0-24')).toBe('still not JSON')
    expect(told(t.apply(gone('10.3.2.0-24'), 0))).toEqual(['-10.3.2.0-24'])
    expect(t.refused.size).toBe(0)
  })

  test('a stray key is a reason and nothing more, until it goes', () => {
    const t = table(a)
    const rejected = [{ key: 'stray', reason: 'names no subnet' }]
    expect(t.apply({ kind: 'snapshot', history: 'a', leases: [a], rejected }, 0)).toEqual([])
    expect(t.refused.get('stray')).toBe('names no subnet')
    expect(t.apply(gone('stray'), 0)).toEqual([])
    expect(t.refused.size).toBe(0)
    t.apply({ kind: 'snapshot', history: 'a', leases: [a], rejected }, 0)
    t.apply(snapshot('a', a), 0)
    expect(t.refused.size).toBe(0)
  })
})

describe('a peer that the store has no more', () => {
  test('is kept a moment, in case its host puts it again', () => {
    const t = tableWith(PATIENT, a, b)
    expect(t.apply(gone('10.3.2.0-24'), 5_000)).toEqual([])
    expect(t.deadlineMs).toBe(6_000)
    expect(t.apply(put({ ...a, createRevision: 9n }), 5_900)).toEqual([])
    expect(t.deadlineMs).toBeUndefined()
    expect(t.apply(gone('10.3.3.0-24'), 7_000)).toEqual([])
    expect(t.expire(7_999)).toEqual([])
    expect(told(t.expire(8_000))).toEqual(['-10.3.3.0-24'])
    expect(t.deadlineMs).toBeUndefined()
    expect([...t.peers.keys()]).toEqual([a.key])
  })

  test('is kept longer if it went while we were away: its host may still be', () => {
    const t = tableWith(PATIENT, a, b)
    expect(t.apply(missed('10.3.2.0-24'), 0)).toEqual([])
    expect(t.deadlineMs).toBe(15_000)
    expect(t.apply(snapshot('a'), 100)).toEqual([])
    expect(t.deadlineMs).toBe(15_000)
    expect(told(t.expire(15_000))).toEqual(['-10.3.2.0-24'])
    expect(t.deadlineMs).toBe(15_100)
    expect(told(t.expire(15_100))).toEqual(['-10.3.3.0-24'])
  })

  test('comes back as what its host puts', () => {
    const t = tableWith(PATIENT, a)
    t.apply(gone('10.3.2.0-24'), 0)
    const moved = lease('10.3.2.0-24', '192.168.0.9', 12)
    expect(t.apply(put(moved), 10)).toEqual([{ kind: 'put', lease: moved }])
    expect(t.expire(GRACE_MS)).toEqual([])
  })

  test('is in nobody’s way', () => {
    const t = tableWith(PATIENT, a)
    const wide = lease('10.3.2.0-23', '192.168.0.8', 9)
    t.apply(put(wide), 0)
    expect(told(t.apply(gone('10.3.2.0-24'), 1))).toEqual(['+10.3.2.0-23', '-10.3.2.0-24'])
    expect(t.expire(2_000)).toEqual([])
    expect(t.refused.size).toBe(0)
  })

  test('is not kept if it was refused, nor our own lease', () => {
    const t = tableWith(PATIENT, own, lease('10.4.2.0-24', '192.168.0.2'))
    t.apply(gone('10.4.2.0-24'), 0)
    t.apply(gone('10.3.1.0-24'), 0)
    expect(t.refused.size).toBe(0)
    expect(t.deadlineMs).toBeUndefined()
  })

  test('goes with its own time, or with its history’s, whichever it was lost in', () => {
    const t = tableWith(PATIENT, a, b)
    t.apply(gone('10.3.2.0-24'), 0)
    expect(t.apply(snapshot('b'), 100)).toEqual([])
    expect(t.awaited).toBe(1)
    expect(told(t.expire(1_000))).toEqual(['-10.3.2.0-24'])
    expect(told(t.expire(100 + GRACE_MS))).toEqual(['-10.3.3.0-24'])
    expect(t.awaited).toBe(0)
  })

  test('is never kept longer than a wiped store’s peers', () => {
    expect(gracesOf(600_000)).toEqual(PATIENT)
    expect(gracesOf(2_000)).toEqual({ deletedMs: 1_000, missedMs: 2_000, resetMs: 2_000 })
    expect(gracesOf(0)).toEqual({ deletedMs: 0, missedMs: 0, resetMs: 0 })
  })
})

describe('weak point 65: a lease is refused', () => {
  test.each([
    ['10.4.2.0-24', '192.168.0.2', '10.4.2.0/24 lies outside the network 10.3.0.0/16'],
    ['10.0.0.0-8', '192.168.0.2', '10.0.0.0/8 lies outside the network 10.3.0.0/16'],
    ['10.3.1.128-25', '192.168.0.2', "10.3.1.128/25 overlaps this host's own subnet 10.3.1.0/24"],
    ['10.3.0.0-16', '192.168.0.2', "overlaps this host's own subnet"],
    ['10.3.2.0-24', '192.168.0.1', "PublicIP 192.168.0.1 is this host's own"],
  ])('%s of %s: %s', (name, publicIp, reason) => {
    const t = table()
    expect(t.apply(put(lease(name, publicIp)), 0)).toEqual([])
    expect(t.refused.get(name)).toContain(reason)
    expect(t.apply(gone(name), 0)).toEqual([])
    expect(t.refused.size).toBe(0)
  })

  test('when it overlaps another that is the earlier one now, for it was made anew: as it was, but later', () => {
    const wide = lease('10.3.2.0-23', '192.168.0.9', 7)
    const [before, anew] = [lease('10.3.2.0-24', '192.168.0.2', 5), lease('10.3.2.0-24', '192.168.0.2', 9)]
    for (const event of [put(anew), snapshot('a', wide, anew)]) {
      const t = table(before, wide)
      expect([...t.peers.keys()]).toEqual([before.key])
      expect(told(t.apply(event, 0))).toEqual(['+10.3.2.0-23', '-10.3.2.0-24'])
    }
  })

  test('when it overlaps another: the earlier stays, and the later comes when that goes', () => {
    const t = table(a)
    const wide = lease('10.3.2.0-23', '192.168.0.8', 9)
    expect(t.apply(put(wide), 0)).toEqual([])
    expect(t.refused.get('10.3.2.0-23')).toBe('10.3.2.0/23 overlaps the older lease 10.3.2.0-24')
    expect(told(t.apply(gone('10.3.2.0-24'), 0))).toEqual(['+10.3.2.0-23', '-10.3.2.0-24'])
    expect(t.refused.size).toBe(0)
    expect(told(t.apply(put(lease('10.3.3.0-24', '192.168.0.3', 4)), 0))).toEqual([
      '+10.3.3.0-24',
      '-10.3.2.0-23',
    ])
  })

  test('one that is refused itself is in nobody’s way', () => {
    const t = table(lease('10.0.0.0-8', '192.168.0.7', 1))
    expect(told(t.apply(put(a), 0))).toEqual(['+10.3.2.0-24'])
  })

  test('each family by itself', () => {
    const t = new LeaseTable(dual, own, AT_ONCE)
    const value = '{"PublicIP":"192.168.0.2","PublicIPv6":"2001:db8::2"}'
    const both = parseLease('10.3.2.0-24&fd00:4::-64', value, 2n) as Lease
    expect(t.apply(put(both), 0)).toEqual([{ kind: 'put', lease: { ...both, ipv6: undefined } }])
    expect(t.refused.get(both.key)).toBe('fd00:4::/64 lies outside the network fd00:3::/48')
    const good = parseLease('10.3.4.0-24&fd00:3:0:4::-64', value, 3n) as Lease
    expect(t.apply(put(good), 0)).toEqual([{ kind: 'put', lease: good }])
  })

  test('not for a family that the network hasn’t got: that half is just not used', () => {
    const t = table()
    const both = parseLease('10.3.2.0-24&fd00:4::-64', '{"PublicIP":"192.168.0.2"}', 2n) as Lease
    expect(t.apply(put(both), 0)).toEqual([{ kind: 'put', lease: { ...both, ipv6: undefined } }])
    expect(t.refused.size).toBe(0)
    const v6 = new LeaseTable({ ...dual, ipv4: undefined }, own, AT_ONCE)
    expect(v6.apply(put(a), 0)).toEqual([])
    expect(v6.refused.get(a.key)).toContain('no subnet of a family')
  })

  test('not for sharing a PublicIP with another peer, but that is told', () => {
    const t = table(a, lease('10.3.5.0-24', '192.168.0.2', 5), b)
    expect(t.peers.size).toBe(3)
    expect([...t.doubtful]).toEqual([
      [a.key, 'PublicIP 192.168.0.2 is that of 10.3.5.0-24 too'],
      [key('10.3.5.0-24'), 'PublicIP 192.168.0.2 is that of 10.3.2.0-24 too'],
    ])
  })
})

describe('another network or another own lease', () => {
  test('judges everything anew', () => {
    const t = table(own, a, b, lease('10.4.2.0-24', '192.168.0.4', 4))
    const other = parseNetworkConfig('{"Network":"10.4.0.0/16"}')
    expect(told(t.reconfigure(other, own))).toEqual(['+10.4.2.0-24', '-10.3.2.0-24', '-10.3.3.0-24'])
    const newOwn = lease('10.3.9.0-24', '192.168.0.1', 9)
    // Our old key is a peer's once another host holds it.
    t.apply(put(lease('10.3.1.0-24', '192.168.0.66', 10)), 0)
    expect(told(t.reconfigure(config, newOwn))).toEqual([
      '+10.3.1.0-24',
      '+10.3.2.0-24',
      '+10.3.3.0-24',
      '-10.4.2.0-24',
    ])
  })
})

describe('in a new history', () => {
  test('peers that are missing stay for the grace time, then go', () => {
    const t = table(a, b)
    expect(t.apply(snapshot('b'), 1000)).toEqual([])
    expect(t.deadlineMs).toBe(1000 + GRACE_MS)
    expect(t.expire(t.deadlineMs! - 1)).toEqual([])
    expect(told(t.apply(put({ ...a, createRevision: 1n }), 2000))).toEqual([])
    expect(t.deadlineMs).toBe(1000 + GRACE_MS)
    expect(told(t.expire(1000 + GRACE_MS))).toEqual(['-10.3.3.0-24'])
    expect(t.deadlineMs).toBeUndefined()
    expect([...t.peers.keys()]).toEqual([a.key])
  })

  test('the wait ends early when all are back, and those that came back are of this history', () => {
    const t = table(a, b)
    t.apply(snapshot('b', a), 0)
    expect(t.deadlineMs).toBeDefined()
    t.apply(put(b), 0)
    expect(t.deadlineMs).toBeUndefined()
    expect(told(t.apply(snapshot('b', b), 0))).toEqual(['-10.3.2.0-24'])
  })

  test('nothing goes while the config key is missing; the wait begins when it is back', () => {
    const t = table(a, b)
    t.apply(snapshot('b'), 0)
    t.configIs(false, 5)
    expect(t.deadlineMs).toBeUndefined()
    expect(t.expire(GRACE_MS * 9)).toEqual([])
    t.configIs(true, 1_000_000)
    expect(t.deadlineMs).toBe(1_000_000 + GRACE_MS)
  })

  test('it is the same when the config is missed first', () => {
    const t = table(a, b)
    t.configIs(false, 5)
    t.apply(snapshot('b'), 10)
    expect(t.deadlineMs).toBeUndefined()
    t.configIs(true, 20)
    t.configIs(true, 30)
    expect(t.deadlineMs).toBe(20 + GRACE_MS)
  })

  test('a config that goes and comes in one history keeps nothing alive', () => {
    const t = table(a, b)
    t.configIs(false, 5)
    expect(told(t.apply(gone('10.3.2.0-24'), 6))).toEqual(['-10.3.2.0-24'])
    t.configIs(true, 7)
    expect(t.deadlineMs).toBeUndefined()
  })

  test('a continued snapshot of it drops none of those that are waited for', () => {
    const t = table(a, b)
    t.apply(snapshot('b'), 0)
    expect(t.apply(snapshot('b'), 100)).toEqual([])
    expect(t.deadlineMs).toBe(GRACE_MS)
    expect(t.apply(snapshot('c'), 200)).toEqual([])
    expect(t.deadlineMs).toBe(200 + GRACE_MS)
    expect(t.peers.size).toBe(2)
  })

  test('a subnet that was given away anew belongs to its new holder at once', () => {
    const t = table(lease('10.3.2.0-24', '192.168.0.2', 500))
    const newcomer = lease('10.3.2.0-23', '192.168.0.8', 900)
    expect(told(t.apply(snapshot('b', newcomer), 0))).toEqual(['+10.3.2.0-23', '-10.3.2.0-24'])
    expect(t.refused.get('10.3.2.0-24')).toContain('overlaps the older lease 10.3.2.0-23')
  })

  test('a deletion is one, whatever history the peer is from', () => {
    const t = table(a, b)
    t.apply(snapshot('b'), 0)
    expect(told(t.apply(gone('10.3.2.0-24'), 1))).toEqual(['-10.3.2.0-24'])
  })
})

describe('whatever the events', () => {
  const leases = fc
    .record({
      n: fc.integer({ min: 0, max: 7 }),
      length: fc.constantFrom(24, 24, 24, 23, 25),
      host: fc.integer({ min: 1, max: 9 }),
      revision: fc.integer({ min: 1, max: 5 }),
      mac: fc.constantFrom('a', 'b'),
      net: fc.constantFrom('10.3', '10.3', '10.4'),
    })
    .map(({ n, length, host, revision, mac, net }) =>
      lease(`${net}.${length === 23 ? n & ~1 : n}.0-${length}`, `192.168.0.${host}`, revision, { mac }),
    )
  const distinct = fc.uniqueArray(leases, { selector: (l) => l.key, maxLength: 8 })
  const step: fc.Arbitrary<LeaseEvent | 'expire'> = fc.oneof(
    leases.map(put),
    leases.map((l) => gone(l.key)),
    leases.map((l) => missed(l.key)),
    fc.tuple(fc.constantFrom('a', 'a', 'b'), distinct).map(([h, ls]) => snapshot(h, ...ls)),
    leases.map((l): LeaseEvent => ({ kind: 'rejected', key: l.key, reason: 'unreadable' })),
    fc.constant('expire' as const),
  )

  const graces = fc.constantFrom(AT_ONCE, { deletedMs: 3, missedMs: 9, resetMs: 20 })

  test('the changes lead to the peers, no two of which overlap each other or us', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), graces, (steps, times) => {
        const t = new LeaseTable(config, own, times)
        const mirror = new Map<SubnetKey, Lease>()
        for (const [now, event] of steps.entries()) {
          const changes = event === 'expire' ? t.expire(t.deadlineMs ?? 0) : t.apply(event, now)
          for (const change of changes)
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
            for (const y of subnets.slice(i + 1)) expect(overlaps(x, y)).toBe(false)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('the peers depend on what the store holds, not on the way there', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), distinct, graces, (steps, last, times) => {
        const t = new LeaseTable(config, own, times)
        for (const [now, event] of steps.entries())
          if (event === 'expire') t.expire(t.deadlineMs ?? 0)
          else t.apply(event, now)
        for (const l of last) t.apply(put(l), 100)
        const wanted = new Set<string>(last.map((l) => l.key))
        for (const l of [...t.peers.keys(), ...t.refused.keys()]) if (!wanted.has(l)) t.apply(gone(l), 100)
        t.expire(1000)
        const fresh = new LeaseTable(config, own, AT_ONCE)
        fresh.apply(snapshot('z', ...last), 0)
        const sorted = (m: ReadonlyMap<string, unknown>) => [...m].sort(([x], [y]) => (x < y ? -1 : 1))
        expect(sorted(t.peers)).toEqual(sorted(fresh.peers))
        expect(sorted(t.refused)).toEqual(sorted(fresh.refused))
      }),
      { numRuns: 300 },
    )
  })
})
