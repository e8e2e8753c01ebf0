// Prefixes: host bits, containment, overlap, addresses in them.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { bitsOf, ipFromValue, ipToValue, parseIp, type Ip } from './ip.ts'
import {
  addressAt,
  baseOf,
  containsIp,
  containsPrefix,
  familyOfPrefix,
  lengthOf,
  overlaps,
  parseAddressWithLength,
  parsePrefix,
  prefixOf,
  sizeOf,
  type Prefix,
} from './prefix.ts'

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.unreachable(text)
const ip = (text: string): Ip => parseIp(text) ?? expect.unreachable(text)
const anyPrefix = fc
  .constantFrom('ipv4' as const, 'ipv6' as const)
  .chain((family) =>
    fc
      .tuple(fc.bigInt(0n, (1n << BigInt(bitsOf(family))) - 1n), fc.integer({ min: 0, max: bitsOf(family) }))
      .map(([value, length]) => prefixOf(ipFromValue(family, value), length)),
  )
/** A prefix near another: same first bits, so that they overlap now and then. */
const pair = anyPrefix.chain((a) =>
  fc.tuple(
    fc.constant(a),
    fc
      .tuple(fc.bigInt(0n, 0xffn), fc.integer({ min: 0, max: bitsOf(familyOfPrefix(a)) }))
      .map(([low, length]) => {
        const value = ipToValue(baseOf(a)) ^ low
        return prefixOf(ipFromValue(familyOfPrefix(a), value), length)
      }),
  ),
)

describe('prefix text', () => {
  test.each([
    ['1.2.3.0/24', '1.2.3.0/24'],
    ['10.244.1.5/16', '10.244.0.0/16'],
    ['1.2.3.4/32', '1.2.3.4/32'],
    ['255.255.255.255/0', '0.0.0.0/0'],
    ['fc00:1::/64', 'fc00:1::/64'],
    ['2001:0db8:1234::/48', '2001:db8:1234::/48'],
    ['fd00::ffff/127', 'fd00::fffe/127'],
  ])('%s reads as %s', (text, canonical) => {
    expect(parsePrefix(text) as string | undefined).toBe(canonical)
    expect(JSON.stringify(parsePrefix(text))).toBe(`"${canonical}"`)
  })

  test.each([
    '',
    '1.2.3.0',
    '1.2.3.0/',
    '/24',
    '1.2.3.0/33',
    'fc00::/129',
    '1.2.3.0/-1',
    '1.2.3/24',
    '1.2.3.0/2 4',
  ])('%p is refused', (text) => expect(parsePrefix(text)).toBeUndefined())

  test('an address keeps its host part beside its length', () => {
    expect(parseAddressWithLength('1.2.3.1/24')).toEqual({ ip: ip('1.2.3.1'), length: 24 })
    expect(parseAddressWithLength('fc00:1::1/64')).toEqual({ ip: ip('fc00:1::1'), length: 64 })
  })

  test('survives text', () => {
    fc.assert(fc.property(anyPrefix, (p) => parsePrefix(p) === p && prefixOf(baseOf(p), lengthOf(p)) === p))
  })

  test('a length the family lacks is an error', () => {
    for (const length of [-1, 33, 1.5]) expect(() => prefixOf(ip('1.2.3.4'), length)).toThrow(RangeError)
    expect(() => prefixOf(ip('::'), 129)).toThrow(RangeError)
  })
})

describe('a prefix holds', () => {
  test('its own addresses and no others', () => {
    expect(containsIp(prefix('1.2.3.0/24'), ip('1.2.3.0'))).toBe(true)
    expect(containsIp(prefix('1.2.3.0/24'), ip('1.2.3.4'))).toBe(true)
    expect(containsIp(prefix('1.2.3.0/24'), ip('1.2.4.0'))).toBe(false)
    expect(containsIp(prefix('fc00:1::/64'), ip('fc00:1::1'))).toBe(true)
    expect(containsIp(prefix('fc00:1::/64'), ip('fc00:2::1'))).toBe(false)
    expect(containsIp(prefix('0.0.0.0/0'), ip('::1'))).toBe(false)
  })

  test('addresses by their offset', () => {
    expect(addressAt(prefix('1.2.3.0/24'), 1n)).toBe(ip('1.2.3.1'))
    expect(addressAt(prefix('fc00:1::/64'), 1n)).toBe(ip('fc00:1::1'))
    expect(() => addressAt(prefix('1.2.3.0/24'), 256n)).toThrow(RangeError)
    expect(() => addressAt(prefix('1.2.3.0/24'), -1n)).toThrow(RangeError)
  })

  test.each([
    ['10.244.0.0/16', '10.244.0.0/16', true],
    ['10.244.0.0/16', '10.244.0.0/24', true],
    ['10.244.0.0/16', '10.244.255.0/24', true],
    ['10.244.0.0/16', '10.244.0.0/15', false],
    ['10.244.0.0/16', '192.168.0.0/24', false],
    ['2001:0db8:1234::/48', '2001:0db8:1234::/48', true],
    ['2001:0db8:1234::/48', '2001:0db8:1234::/64', true],
    ['2001:0db8:1234::/48', '2001:0db8:1234:ffff::/64', true],
    ['2001:0db8:1234::/48', '2001:0db8:1234::/47', false],
    ['2001:0db8:1234::/48', 'fe02::/32', false],
    ['0.0.0.0/0', 'fe02::/32', false],
  ])('%s holds %s: %p', (outer, inner, expected) => {
    expect(containsPrefix(prefix(outer), prefix(inner))).toBe(expected)
  })

  test('everything from its first to its last address', () => {
    fc.assert(
      fc.property(anyPrefix, (p) => {
        const [first, last] = [addressAt(p, 0n), addressAt(p, sizeOf(p) - 1n)]
        expect(containsIp(p, first) && containsIp(p, last)).toBe(true)
        expect(first).toBe(baseOf(p))
        if (ipToValue(first) > 0n)
          expect(containsIp(p, ipFromValue(familyOfPrefix(p), ipToValue(first) - 1n))).toBe(false)
      }),
    )
  })
})

describe('overlap', () => {
  test.each([
    ['1.2.3.0/24', '1.2.3.0/24', true],
    ['1.2.3.0/24', '1.2.0.0/16', true],
    ['1.2.3.0/24', '1.2.4.0/24', false],
    ['1.2.3.0/24', '7.2.4.0/22', false],
    ['fc00:1::/64', 'fc00::/16', true],
    ['fc00:1::/64', 'fc00:2::/64', false],
    ['fc00:1::/64', 'fb00:2::/48', false],
    ['0.0.0.0/0', '::/0', false],
  ])('of %s and %s: %p', (a, b, expected) => {
    expect(overlaps(prefix(a), prefix(b))).toBe(expected)
    expect(overlaps(prefix(b), prefix(a))).toBe(expected)
  })

  test('is what the address ranges say', () => {
    const range = (p: Prefix): [bigint, bigint] => [
      ipToValue(baseOf(p)),
      ipToValue(baseOf(p)) + sizeOf(p) - 1n,
    ]
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const [[a0, a1], [b0, b1]] = [range(a), range(b)]
        expect(overlaps(a, b)).toBe(a0 <= b1 && b0 <= a1)
        expect(containsPrefix(a, b)).toBe(a0 <= b0 && b1 <= a1)
      }),
    )
  })
})
