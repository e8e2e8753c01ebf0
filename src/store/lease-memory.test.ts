// What a host does about leases that the store has no more, or that a wiped one never had.
import { describe, expect, test } from 'bun:test'
import {
  a,
  b,
  gone,
  GRACE_MS,
  lease,
  missed,
  own,
  PATIENT,
  put,
  snapshot,
  table,
  tableWith,
  told,
} from '../../test/support/leases.ts'
import { gracesOf } from './graces.ts'

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
