// The index of prefixes against a plain search.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ipv4FromNumber, ipv6FromBigInt } from '../model/ip.ts'
import { overlaps, parsePrefix, prefixOf, type Prefix } from '../model/prefix.ts'
import { PrefixIndex } from './prefix-index.ts'

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.unreachable(text)
/** Few addresses and many lengths, so that they overlap. */
const anyPrefix = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 22, max: 32 }))
    .map(([n, length]) => prefixOf(ipv4FromNumber(0x0a00_0000 + (n << 4)), length)),
  fc
    .tuple(fc.bigInt(0n, 15n), fc.integer({ min: 44, max: 52 }))
    .map(([n, length]) => prefixOf(ipv6FromBigInt((0xfdn << 120n) | (n << 78n)), length)),
)

describe('the prefix index', () => {
  test('finds what contains a prefix, what it contains, and nothing else', () => {
    const index = new PrefixIndex<string>()
    for (const text of ['10.1.0.0/16', '10.1.2.0/24', '10.1.2.128/25', '10.1.3.0/24', 'fd00::/64'])
      index.add(prefix(text), text)
    expect([...index.overlapping(prefix('10.1.2.0/24'))].sort()).toEqual([
      '10.1.0.0/16',
      '10.1.2.0/24',
      '10.1.2.128/25',
    ])
    expect([...index.overlapping(prefix('10.2.0.0/16'))]).toEqual([])
    expect([...index.overlapping(prefix('fd00::/48'))]).toEqual(['fd00::/64'])
  })

  test('holds several keys of one prefix, and forgets them one by one', () => {
    const index = new PrefixIndex<string>()
    const p = prefix('10.1.2.0/24')
    index.add(p, 'a')
    index.add(p, 'b')
    index.remove(p, 'a')
    index.remove(p, 'never there')
    expect([...index.overlapping(p)]).toEqual(['b'])
    index.remove(p, 'b')
    expect([...index.overlapping(p)]).toEqual([])
  })

  test('agrees with looking at every prefix', () => {
    const step = fc.record({ add: fc.boolean(), prefix: anyPrefix, key: fc.integer({ min: 0, max: 3 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), anyPrefix, (steps, asked) => {
        const index = new PrefixIndex<string>()
        const all = new Map<string, Prefix>()
        for (const { add, prefix, key } of steps) {
          const name = `${prefix} ${key}`
          if (add) all.set(name, prefix)
          else all.delete(name)
          index[add ? 'add' : 'remove'](prefix, name)
        }
        const expected = [...all].filter(([, p]) => overlaps(p, asked)).map(([name]) => name)
        expect([...index.overlapping(asked)].sort()).toEqual(expected.sort())
      }),
    )
  })
})
