// Comparing what is wanted with what is there, without a kernel.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import type { Change } from './carrier.ts'
import { changeFor, differences } from './diff.ts'

const kind = { same: (a: { v: number }, b: { v: number }) => a.v === b.v }
const KEYS = ['a', 'b', 'c', 'd']
const books = fc.tuple(...KEYS.map(() => fc.option(fc.nat(2), { nil: undefined }))).map((values) => {
  const book = new Map<string, { v: number }>()
  for (const [index, v] of values.entries()) if (v !== undefined) book.set(KEYS[index] ?? '', { v })
  return book
})

describe('changes', () => {
  test('nothing for what is as wanted, or neither wanted nor there', () => {
    expect(changeFor(kind, { v: 1 }, { v: 1 })).toBeUndefined()
    expect(changeFor(kind, undefined, undefined)).toBeUndefined()
  })
  test('a put knows what was there before, a removal what goes', () => {
    expect(changeFor(kind, { v: 1 }, { v: 2 })).toEqual({ op: 'put', want: { v: 1 }, have: { v: 2 } })
    expect(changeFor(kind, { v: 1 }, undefined)).toEqual({ op: 'put', want: { v: 1 }, have: undefined })
    expect(changeFor(kind, undefined, { v: 2 })).toEqual({ op: 'remove', have: { v: 2 } })
  })

  test('applied to what is there they make it what is wanted, and then there are none', () => {
    fc.assert(
      fc.property(books, books, (want, have) => {
        const result = new Map(have)
        for (const key of new Set([...want.keys(), ...have.keys()])) {
          const change: Change<{ v: number }> | undefined = changeFor(kind, want.get(key), have.get(key))
          if (change?.op === 'put') result.set(key, change.want)
          else if (change?.op === 'remove') result.delete(key)
        }
        expect(KEYS.map((key) => result.get(key))).toEqual(KEYS.map((key) => want.get(key)))
        for (const key of want.keys()) expect(changeFor(kind, want.get(key), result.get(key))).toBeUndefined()
      }),
    )
  })
})

test('differences are exactly the keys whose objects came, went or changed', () => {
  fc.assert(
    fc.property(books, books, (before, after) => {
      const found = differences(kind, before, after)
      const expected = KEYS.filter((key) => before.get(key)?.v !== after.get(key)?.v)
      expect(found.map(({ key }) => key).toSorted((a, b) => a.localeCompare(b))).toEqual(expected)
      for (const d of found) expect([d.before, d.after]).toEqual([before.get(d.key), after.get(d.key)])
    }),
  )
})
