// Ranges as host-local reads them, and the order in which addresses are offered.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { thrown } from '../../../test/support/values.ts'
import { ip } from '../../../test/support/values.ts'
import { ipFromValue, ipToValue, type Ip } from '../../model/ip.ts'
import type { JsonObject } from '../json.ts'
import { candidates, parseRanges, rangeOf, type RangeSet } from './ranges.ts'

const setsOf = (...ranges: readonly JsonObject[][]) => parseRanges({ ranges })
const setOf = (...ranges: readonly JsonObject[]): RangeSet => {
  const [set] = setsOf([...ranges])
  if (set === undefined) throw new Error('no set')
  return set
}
const offered = (set: RangeSet, last?: string): string[] =>
  [...candidates(set, last === undefined ? undefined : ip(last))].map((candidate) => candidate.ip)

describe('ranges', () => {
  test('leave out base, gateway and broadcast', () => {
    expect(setOf({ subnet: '10.1.2.0/24' }) as unknown).toEqual([
      { subnet: '10.1.2.0/24', first: '10.1.2.1', last: '10.1.2.254', gateway: '10.1.2.1' },
    ])
    expect(setOf({ subnet: 'fd00::/120' }) as unknown).toEqual([
      { subnet: 'fd00::/120', first: 'fd00::1', last: 'fd00::ff', gateway: 'fd00::1' },
    ])
    expect(offered(setOf({ subnet: '10.1.2.0/29' }))).toEqual([
      '10.1.2.2',
      '10.1.2.3',
      '10.1.2.4',
      '10.1.2.5',
      '10.1.2.6',
    ])
  })

  test('have ends and a gateway of their own if told so, and may be given in the old form', () => {
    const range = { subnet: '10.1.0.0/16', rangeStart: '10.1.3.4', rangeEnd: '10.1.3.6', gateway: '10.1.3.5' }
    expect(offered(setOf(range))).toEqual(['10.1.3.4', '10.1.3.6'])
    expect(parseRanges({ ...range, ranges: [[{ subnet: 'fd00::/64' }]] })).toHaveLength(2)
  })

  test.each([
    [{}, 'no IP ranges specified'],
    [{ ranges: {} }, 'must be a list'],
    [{ ranges: [[]] }, 'must be a list of ranges'],
    [{ ranges: [[{ subnet: 'x' }]] }, 'must be a CIDR'],
    [{ ranges: [[{ subnet: '10.0.0.0/31' }]] }, 'too small'],
    [{ ranges: [[{ subnet: 'fd00::/127' }]] }, 'too small'],
    [{ ranges: [[{ subnet: '10.0.0.0/24', gateway: '10.0.1.1' }]] }, 'gateway 10.0.1.1 not in network'],
    [{ ranges: [[{ subnet: '10.0.0.0/24', rangeStart: 'x' }]] }, 'rangeStart must be an IP address'],
    [{ ranges: [[{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.9', rangeEnd: '10.0.0.8' }]] }, 'is before'],
    [{ ranges: [[{ subnet: '10.0.0.0/24' }, { subnet: 'fd00::/64' }]] }, 'mixes IPv4 and IPv6'],
    [{ ranges: [[{ subnet: '10.0.0.0/24' }, { subnet: '10.0.0.0/25' }]] }, 'its ranges overlap'],
    [{ ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: '10.0.0.128/25' }]] }, 'range set 1 overlaps with 0'],
  ])('%j are refused', (ipam, message) => {
    expect(thrown(() => parseRanges(ipam as JsonObject))).toMatchObject({
      cniCode: 7,
      message: expect.stringContaining(message),
    })
  })
})

describe('the order', () => {
  const two = setOf(
    { subnet: '10.1.2.0/24', rangeEnd: '10.1.2.3' },
    { subnet: '10.1.3.0/24', rangeEnd: '10.1.3.3' },
  )

  test('goes on after the last one given, round through all ranges', () => {
    expect(offered(two)).toEqual(['10.1.2.2', '10.1.2.3', '10.1.3.2', '10.1.3.3'])
    expect(offered(two, '10.1.2.2')).toEqual(['10.1.2.3', '10.1.3.2', '10.1.3.3', '10.1.2.2'])
    expect(offered(two, '10.1.3.3')).toEqual(['10.1.2.2', '10.1.2.3', '10.1.3.2', '10.1.3.3'])
  })

  test('begins anew where the last one is of another network', () => {
    expect(offered(two, '10.9.9.9')).toEqual(offered(two))
    expect(offered(two, 'fd00::1')).toEqual(offered(two))
  })

  test('offers each address once, whatever came last', () =>
    fc.assert(
      fc.property(fc.integer({ min: 24, max: 30 }), fc.nat(255), (length, offset) => {
        const set = setOf({ subnet: `10.1.2.0/${length}` })
        const last = ipFromValue('ipv4', ipToValue('10.1.2.0' as Ip) + BigInt(offset))
        const all = [...candidates(set, last)].map((candidate) => candidate.ip)
        expect(new Set(all).size).toBe(all.length)
        expect(all.length).toBe(2 ** (32 - length) - 3)
        expect(all.every((address) => rangeOf(set, address))).toBe(true)
        if (rangeOf(set, last) && last !== '10.1.2.1') expect(all.at(-1)).toBe(last)
      }),
    ))
})
