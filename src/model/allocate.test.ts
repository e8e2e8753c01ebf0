// The choice of a subnet: free, allowed, the previous one again, fast at many thousands.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { allocate, suits } from './allocate.ts'
import {
  parseNetworkConfig,
  subnetAt,
  subnetCount,
  type NetworkConfig,
  type NetworkRange,
} from './net-config.ts'
import { baseOf, containsPrefix, overlaps, parsePrefix, prefixOf, type Prefix } from './prefix.ts'

type DualConfig = NetworkConfig & { readonly ipv4: NetworkRange }
const configOf = (json: object): DualConfig => {
  const config = parseNetworkConfig(JSON.stringify(json))
  if (config.ipv4 === undefined) throw new Error('the test wants IPv4')
  return { ...config, ipv4: config.ipv4 }
}
const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.unreachable(text)
const few = configOf({ Network: '10.3.0.0/16', SubnetMin: '10.3.1.0', SubnetMax: '10.3.4.0' })
const dual = configOf({
  Network: '10.3.0.0/16',
  EnableIPv6: true,
  IPv6Network: 'fd00:1::/48',
  IPv6SubnetMin: 'fd00:1:0:5::',
  IPv6SubnetMax: 'fd00:1:0:6::',
})

describe('allocate', () => {
  test('never gives the first subnet of the network by default', () => {
    expect(allocate(configOf({ Network: '10.3.0.0/16' }), [], [], () => 0)?.ipv4).toBe(prefix('10.3.1.0/24'))
  })

  test('gives the one subnet that is left, whatever the chance', () => {
    const taken = ['10.3.1.0/24', '10.3.2.0/24', '10.3.4.0/24'].map(prefix)
    for (const chance of [0, 0.5, 0.999])
      expect(allocate(few, taken, [], () => chance)?.ipv4).toBe(prefix('10.3.3.0/24'))
  })

  test('a larger taken prefix takes all that it covers, a smaller one the subnet it lies in', () => {
    expect(allocate(few, [prefix('10.3.0.0/22')], [], () => 0.999)?.ipv4).toBe(prefix('10.3.4.0/24'))
    expect(allocate(few, ['10.3.0.0/22', '10.3.4.128/26'].map(prefix), [], () => 0)).toBeUndefined()
  })

  test('what lies outside min and max takes nothing', () => {
    const taken = ['10.3.0.0/24', '10.3.5.0/24', '10.4.1.0/24', 'fd00::/16'].map(prefix)
    expect(allocate(few, taken, [], () => 0)?.ipv4).toBe(prefix('10.3.1.0/24'))
    expect(allocate(few, taken, [], () => 0.999)?.ipv4).toBe(prefix('10.3.4.0/24'))
  })

  test('dual stack gives one of each family, and nothing when either has run out', () => {
    expect(allocate(dual, [prefix('fd00:1:0:5::/64')], [], () => 0)).toEqual({
      ipv4: prefix('10.3.1.0/24'),
      ipv6: prefix('fd00:1:0:6::/64'),
    })
    expect(allocate(dual, [prefix('fd00:1:0:4::/62')], [], () => 0)).toBeUndefined()
    expect(allocate(dual, [prefix('10.3.0.0/16')], [], () => 0)).toBeUndefined()
  })

  test('prefers what the host had, each family by itself, if it is free and allowed', () => {
    const had = ['10.3.3.0/24', 'fd00:1:0:6::/64'].map(prefix)
    expect(allocate(dual, [], had, () => 0)).toEqual({ ipv4: had[0]!, ipv6: had[1] })
    expect(allocate(dual, [prefix('10.3.3.128/25')], had, () => 0)).toEqual({
      ipv4: prefix('10.3.1.0/24'),
      ipv6: had[1],
    })
    expect(allocate(few, [], ['10.4.1.0/24', '10.3.2.0/25', '10.3.9.0/24'].map(prefix), () => 0)?.ipv4).toBe(
      prefix('10.3.1.0/24'),
    )
  })

  test('chooses among the first hundred free subnets', () => {
    const config = configOf({ Network: '10.0.0.0/8' })
    const last = allocate(config, [prefix('10.0.3.0/24')], [], () => 0.9999)
    expect(last?.ipv4).toBe(prefix('10.0.101.0/24'))
  })

  test('finds the last free one among 60,000', () => {
    const config = configOf({ Network: '10.0.0.0/8', SubnetMin: '10.0.1.0', SubnetMax: '10.234.96.0' })
    const count = subnetCount(config.ipv4)
    expect(count).toBe(60_000n)
    const taken = Array.from({ length: 59_999 }, (_, i) => subnetAt(config.ipv4, BigInt(i))).reverse()
    expect(allocate(config, taken, [], () => 0)?.ipv4).toBe(subnetAt(config.ipv4, 59_999n))
  })

  test('gives none that is taken in IPv6 ranges larger than numbers are exact', () => {
    const vast = configOf({
      Network: '10.3.0.0/16',
      EnableIPv6: true,
      IPv6Network: 'fd00::/16',
      IPv6SubnetLen: 112,
      IPv6SubnetMin: 'fd00::',
    })
    const give = (...taken: string[]) => allocate(vast, taken.map(prefix), [], () => 0)?.ipv6
    expect(give()).toBe(prefix('fd00::/112'))
    expect(give('fd00::/100', 'fd00:1::/32')).toBe(prefix('fd00::1000:0/112'))
    for (const taken of [['fd00::/16'], ['fd00::/40'], ['fd00::/17', 'fd00:8000::/112']]) {
      const got = give(...taken)
      expect(got !== undefined && taken.map(prefix).some((t) => overlaps(t, got))).toBe(false)
    }
  })

  test('what it gives is allowed and overlaps nothing; it gives nothing only when all is covered', () => {
    const range = configOf({ Network: '10.3.0.0/20', SubnetLen: 26 })
    const inside = fc
      .record({ offset: fc.bigInt(0n, 4095n), length: fc.integer({ min: 19, max: 30 }) })
      .map(({ offset, length }) =>
        prefixOf(baseOf(prefix(`10.3.${offset >> 8n}.${offset & 255n}/32`)), length),
      )
    fc.assert(
      fc.property(
        fc.array(inside, { maxLength: 60 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (taken, r) => {
          const place = allocate(range, taken, [], () => r)
          const all = Array.from({ length: Number(subnetCount(range.ipv4)) }, (_, i) =>
            subnetAt(range.ipv4, BigInt(i)),
          )
          const free = all.filter((s) => !taken.some((t) => overlaps(s, t)))
          if (place?.ipv4 === undefined) return free.length === 0
          return free.includes(place.ipv4) && containsPrefix(range.ipv4.network, place.ipv4)
        },
      ),
    )
  })
})

describe('suits', () => {
  const v4 = prefix('10.3.2.0/24')
  test('asks for the configured length and for a base from min to max', () => {
    expect(suits(few, { ipv4: v4, ipv6: undefined })).toBe(true)
    for (const bad of ['10.3.2.0/25', '10.3.0.0/24', '10.3.5.0/24', '10.4.2.0/24'])
      expect(suits(few, { ipv4: prefix(bad), ipv6: undefined })).toBe(false)
  })

  test('asks for IPv6 exactly where the config has it', () => {
    const v6 = prefix('fd00:1:0:5::/64')
    expect(suits(few, { ipv4: v4, ipv6: v6 })).toBe(false)
    expect(suits(dual, { ipv4: v4, ipv6: undefined })).toBe(false)
    expect(suits(dual, { ipv4: v4, ipv6: v6 })).toBe(true)
    expect(suits(dual, { ipv4: v4, ipv6: prefix('fd00:1:0:7::/64') })).toBe(false)
  })

  test('refuses everything on a network without IPv4', () => {
    const v6only = parseNetworkConfig('{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:1::/48"}')
    expect(suits(v6only, { ipv4: v4, ipv6: prefix('fd00:1:0:5::/64') })).toBe(false)
  })
})
