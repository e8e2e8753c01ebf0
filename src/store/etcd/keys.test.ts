// Where keys are: upstream's paths, and the ranges around a subnet.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ipv4FromNumber, ipv6FromBigInt } from '../../model/ip.ts'
import { formatSubnetKey, type SubnetKey } from '../../model/lease.ts'
import { lengthOf, overlaps, parsePrefix, prefixOf, type Prefix } from '../../model/prefix.ts'
import { Keys } from './keys.ts'
import { keysUnder, oneKey, type KeyRange } from './kv.ts'

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.unreachable(text)
const holds = ({ key, end }: KeyRange, text: string): boolean => {
  const bytes = Buffer.from(text)
  return end.length === 0
    ? bytes.equals(key)
    : Buffer.compare(bytes, key) >= 0 && Buffer.compare(bytes, end) < 0
}

describe('the keys of a prefix', () => {
  test('are upstream’s, whatever slashes the prefix has', () => {
    for (const text of ['/coreos.com/network', '/coreos.com/network/', '//coreos.com//network/.']) {
      const keys = new Keys(text)
      expect(keys.config).toBe('/coreos.com/network/config')
      expect(keys.lease('10.5.52.0-24' as SubnetKey)).toBe('/coreos.com/network/subnets/10.5.52.0-24')
    }
    expect(new Keys('coreos.com/network').config).toBe('coreos.com/network/config')
  })

  test('are listed as upstream lists them, with what isn’t a lease', () => {
    const { leases } = new Keys('/coreos.com/network')
    for (const inside of [
      '/coreos.com/network/subnets',
      '/coreos.com/network/subnets/x',
      '/coreos.com/network/subnetsx',
    ])
      expect(holds(leases, inside)).toBe(true)
    for (const outside of [
      '/coreos.com/network/config',
      '/coreos.com/network/subnett',
      '/coreos.com/network/heddle/x',
    ])
      expect(holds(leases, outside)).toBe(false)
  })

  test('name their leases; a stray key is its own name', () => {
    const keys = new Keys('/n')
    expect(keys.nameOf('/n/subnets/10.5.52.0-24') as string).toBe('10.5.52.0-24')
    expect(keys.nameOf('/n/subnetsX') as string).toBe('/n/subnetsX')
  })

  test('a range ends where its prefix does', () => {
    expect(keysUnder('a')).toEqual({ key: Buffer.from('a'), end: Buffer.from('b') })
    expect(holds(oneKey('a'), 'a') && !holds(oneKey('a'), 'ab')).toBe(true)
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        (start, rest) => {
          expect(holds(keysUnder(start), start + rest)).toBe(true)
        },
      ),
    )
  })
})

describe('the ranges around a place', () => {
  const v4 = (minLength: number) =>
    fc
      .tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: minLength, max: 31 }))
      .map(([n, length]) => prefixOf(ipv4FromNumber(n), length))
  const v6 = fc
    .tuple(fc.bigInt(0n, (1n << 128n) - 1n), fc.integer({ min: 8, max: 126 }))
    .map(([n, length]) => prefixOf(ipv6FromBigInt(n), length))
  /** A subnet and one that overlaps it. */
  const overlapping = fc
    .tuple(v4(3), fc.integer({ min: 0, max: 31 }), fc.integer({ min: 0, max: 0xffff_ffff }))
    .map(([ours, length, host]): [Prefix, Prefix] => {
      const [text = '', bits = ''] = ours.split('/')
      const base = text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
      const inside = (base + (host % 2 ** (32 - Number(bits)))) >>> 0
      return [ours, prefixOf(ipv4FromNumber(inside), length)]
    })
  const keys = new Keys('/coreos.com/network')
  const covered = (ranges: readonly KeyRange[], name: SubnetKey) =>
    ranges.some((r) => holds(r, keys.lease(name)))

  test('hold the key of everything that overlaps it', () => {
    fc.assert(
      fc.property(overlapping, fc.option(v6, { nil: undefined }), ([ours, theirs], theirV6) => {
        expect(overlaps(ours, theirs)).toBe(true)
        const ranges = keys.around({ ipv4: ours, ipv6: undefined })
        expect(covered(ranges, formatSubnetKey(theirs, theirV6))).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('hold every key where IPv6 is in play', () => {
    fc.assert(
      fc.property(v4(1), v4(1), v6, (ours, theirs, ipv6) => {
        expect(covered(keys.around({ ipv4: ours, ipv6 }), formatSubnetKey(theirs, undefined))).toBe(true)
      }),
    )
  })

  test('leave other hosts alone, and stay within what one transaction may ask', () => {
    const ranges = keys.around({ ipv4: prefix('10.5.52.0/24'), ipv6: undefined })
    expect(covered(ranges, formatSubnetKey(prefix('10.5.53.0/24'), undefined))).toBe(false)
    expect(covered(ranges, formatSubnetKey(prefix('10.5.48.0/22'), undefined))).toBe(false)
    expect(covered(ranges, formatSubnetKey(prefix('10.5.52.0/22'), undefined))).toBe(true)
    fc.assert(
      fc.property(v4(1), (ours) => {
        expect(keys.around({ ipv4: ours, ipv6: undefined }).length).toBeLessThan(64)
        expect(lengthOf(ours)).toBeGreaterThan(0)
      }),
    )
  })
})
