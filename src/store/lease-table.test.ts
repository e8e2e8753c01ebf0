// The table of peers: what is told of changes in the store.
import { describe, expect, test } from 'bun:test'
import { parseNetworkConfig } from '../model/net-config.ts'
import {
  a,
  AT_ONCE,
  b,
  config,
  gone,
  lease,
  own,
  put,
  snapshot,
  table,
  told,
  uniqueOf,
} from '../../test/support/leases.ts'
import { LeaseTable } from './lease-table.ts'

describe('within one history', () => {
  test('weak point 3: a snapshot tells every peer once, and never our own lease', () => {
    const t = new LeaseTable(config, own, AT_ONCE, uniqueOf)
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
    const newMac = lease('10.3.3.0-24', '192.168.0.3', 3, { mac: '02:00:00:00:00:01' })
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

test('who asks about what was stirred knows all refusals', () => {
  const t = table(a, b)
  const known = new Map<string, string>()
  const learn = () => {
    for (const key of t.takeStirred()) {
      const reason = t.refusalOf(key)
      if (reason === undefined) known.delete(key)
      else known.set(key, reason)
    }
    expect(known).toEqual(new Map(t.refused))
    return known.size
  }
  expect(learn()).toBe(0)
  const rejected = [{ key: 'stray', reason: 'names no subnet' }]
  t.apply({ kind: 'rejected', key: '10.3.2.0-24', reason: 'not JSON' }, 0)
  expect(learn()).toBe(1)
  t.apply({ kind: 'snapshot', history: 'a', leases: [a, b], rejected }, 0)
  expect([learn(), known.get('stray')]).toEqual([1, 'names no subnet'])
  t.apply(gone('stray'), 0)
  expect(learn()).toBe(0)
  t.apply(put(lease('10.9.2.0-24', '192.168.0.9', 9)), 0)
  expect(learn()).toBe(1)
  t.reconfigure(parseNetworkConfig('{"Network":"10.9.0.0/16"}'), own)
  expect(learn()).toBe(2)
  t.apply(snapshot('a'), 0)
  expect(learn()).toBe(0)
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
