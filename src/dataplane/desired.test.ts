// Wishes of several sources under one key, without a kernel.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ip, mac } from '../../test/support/values.ts'
import { fdbEntry, type FdbEntry } from '../model/kernel.ts'
import { Desired, type Source } from './desired.ts'
import { fdbKind } from './kinds/fdb.ts'

const entry = (dst: string, link = 'flannel.1'): FdbEntry =>
  fdbEntry({ link, mac: mac('02:00:00:00:00:02'), dst: ip(dst) })
const source = (name: string, since: bigint): Source => ({ name, since })
const KEY = fdbKind.key(entry('1.1.1.1'))

describe('wishes under one key', () => {
  test('equal ones are one, until the last is taken back', () => {
    const desired = new Desired(fdbKind)
    expect(desired.claim(KEY, source('a', 1n), entry('1.1.1.1'))).toBe(true)
    desired.claim(KEY, source('b', 2n), entry('1.1.1.1'))
    expect(desired.conflicts(KEY, undefined)).toEqual([])
    expect(desired.release(KEY, 'a')).toBe(true)
    expect(desired.winner(KEY, undefined)?.source.name).toBe('b')
    expect(desired.release(KEY, 'b')).toBe(true)
    expect(desired.winner(KEY, undefined)).toBeUndefined()
    expect(desired.release(KEY, 'b')).toBe(false)
  })

  test('of unequal ones the kernel’s stays, else the oldest; the others are told', () => {
    const desired = new Desired(fdbKind)
    desired.claim(KEY, source('young', 9n), entry('9.9.9.9'))
    desired.claim(KEY, source('old', 1n), entry('1.1.1.1'))
    expect(desired.winner(KEY, undefined)?.source.name).toBe('old')
    expect(desired.winner(KEY, entry('9.9.9.9'))?.source.name).toBe('young')
    expect(desired.winner(KEY, entry('5.5.5.5'))?.source.name).toBe('old')
    expect(desired.conflicts(KEY, entry('9.9.9.9'))).toEqual([{ key: KEY, source: 'old', winner: 'young' }])
  })

  test('a source replaces its own wish; the same again is no change', () => {
    const desired = new Desired(fdbKind)
    desired.claim(KEY, source('a', 1n), entry('1.1.1.1'))
    expect(desired.claim(KEY, source('a', 1n), entry('1.1.1.1'))).toBe(false)
    expect(desired.claim(KEY, source('a', 1n), entry('2.2.2.2'))).toBe(true)
    expect(desired.winner(KEY, undefined)?.object.dst).toBe(ip('2.2.2.2'))
  })

  test('links are in use as long as a wish lives on them', () => {
    const desired = new Desired(fdbKind)
    desired.claim(KEY, source('a', 1n), entry('1.1.1.1'))
    desired.claim(KEY, source('a', 1n), entry('1.1.1.1', 'other0'))
    expect([desired.uses('flannel.1'), desired.uses('other0')]).toEqual([false, true])
    desired.release(KEY, 'a')
    expect(desired.uses('other0')).toBe(false)
  })

  test('the order of coming and going leaves no trace', () => {
    const acts = fc.array(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c'),
        dst: fc.option(fc.constantFrom('1.1.1.1', '2.2.2.2')),
      }),
    )
    const ages: Record<string, bigint> = { a: 1n, b: 2n, c: 3n }
    fc.assert(
      fc.property(acts, (list) => {
        const desired = new Desired(fdbKind)
        const left = new Map<string, string>()
        for (const { name, dst } of list)
          if (dst === null) {
            desired.release(KEY, name)
            left.delete(name)
          } else {
            desired.claim(KEY, source(name, ages[name] ?? 0n), entry(dst))
            left.set(name, dst)
          }
        const oldest = ['a', 'b', 'c'].find((name) => left.has(name))
        expect(desired.winner(KEY, undefined)?.source.name).toBe(oldest as never)
        expect(desired.winner(KEY, undefined)?.object.dst).toBe(
          (oldest === undefined ? undefined : left.get(oldest)) as never,
        )
        expect(desired.size).toBe(left.size > 0 ? 1 : 0)
        expect(desired.uses('flannel.1')).toBe(left.size > 0)
      }),
    )
  })
})
