// The network config: upstream's defaults and refusals, row by row (flannel-compat 2).
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { bitsOf, ipToValue } from './ip.ts'
import {
  allows,
  NetworkConfigError,
  parseNetworkConfig,
  subnetAt,
  subnetCount,
  type NetworkRange,
} from './net-config.ts'
import {
  baseOf,
  containsPrefix,
  familyOfPrefix,
  lengthOf,
  parsePrefix,
  prefixOf,
  type Prefix,
} from './prefix.ts'

const parse = (json: object) => parseNetworkConfig(JSON.stringify(json))
const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.unreachable(text)
const refusal = (text: string): string => {
  try {
    parseNetworkConfig(text)
  } catch (error) {
    if (error instanceof NetworkConfigError) return error.message
    throw error
  }
  return expect.unreachable(`accepted: ${text}`)
}

describe('the network config reads as upstream reads it', () => {
  test('C1: IPv4 defaults', () => {
    expect(parseNetworkConfig('{ "network": "10.3.0.0/16" }') as unknown).toEqual({
      ipv4: { network: '10.3.0.0/16', subnetLength: 24, min: '10.3.1.0', max: '10.3.255.0' },
      ipv6: undefined,
      enableNFTables: false,
      backendType: 'udp',
      backend: {},
    })
  })

  test('C2: IPv6 defaults', () => {
    const config = parseNetworkConfig(
      '{ "enableIPv6": true, "ipv6Network": "fc00::/48", "enableIPv4": false }',
    )
    expect(config.ipv4).toBeUndefined()
    expect(config.ipv6 as unknown).toEqual({
      network: 'fc00::/48',
      subnetLength: 64,
      min: 'fc00:0:0:1::',
      max: 'fc00:0:0:ffff::',
    })
  })

  test('C3: IPv4 overrides', () => {
    const config = parse({
      Network: '10.3.0.0/16',
      SubnetMin: '10.3.5.0',
      SubnetMax: '10.3.8.0',
      SubnetLen: 28,
    })
    expect(config.ipv4 as unknown).toEqual({
      network: '10.3.0.0/16',
      subnetLength: 28,
      min: '10.3.5.0',
      max: '10.3.8.0',
    })
  })

  test('C4: IPv6 overrides', () => {
    const config = parseNetworkConfig(
      '{ "EnableIPv6": true, "IPv6Network": "fc00::/48", "IPv6SubnetMin": "fc00:0:0:1::", "IPv6SubnetMax": "fc00:0:0:f::", "IPv6SubnetLen": 124, "enableIPv4": false }',
    )
    expect(config.ipv6 as unknown).toEqual({
      network: 'fc00::/48',
      subnetLength: 124,
      min: 'fc00:0:0:1::',
      max: 'fc00:0:0:f::',
    })
  })

  test('the network is masked; unknown keys are ignored; null leaves a default', () => {
    const config = parse({
      Network: '10.244.1.5/16',
      EnableIPv4: null,
      EnableIPv6: null,
      SubnetLen: null,
      Extra: {},
    })
    expect(config.ipv4?.network as string).toBe('10.244.0.0/16')
    expect(config.ipv4?.subnetLength).toBe(24)
  })

  test.each([
    ['10.3.0.0/22', 24],
    ['10.3.0.0/23', 25],
    ['10.3.0.0/28', 30],
    ['10.0.0.0/8', 24],
  ])('%s is cut into /%i', (Network, length) => {
    expect(parse({ Network }).ipv4?.subnetLength).toBe(length)
    expect(parse({ Network, SubnetLen: 0 }).ipv4?.subnetLength).toBe(length)
  })
  test.each([
    ['fc00::/62', 64],
    ['fc00::/63', 65],
    ['fc00::/124', 126],
  ])('%s is cut into /%i', (IPv6Network, length) => {
    expect(parse({ EnableIPv4: false, EnableIPv6: true, IPv6Network }).ipv6?.subnetLength).toBe(length)
  })

  test('a zero or null bound is none, as upstream has it', () => {
    const zero = parse({
      Network: '10.3.0.0/16',
      SubnetMin: '0.0.0.0',
      SubnetMax: '0.0.0.0',
      EnableIPv6: true,
      IPv6Network: 'fc00::/48',
      IPv6SubnetMin: '::',
      IPv6SubnetMax: null,
    })
    expect([zero.ipv4?.min, zero.ipv4?.max] as unknown).toEqual(['10.3.1.0', '10.3.255.0'])
    expect([zero.ipv6?.min, zero.ipv6?.max] as unknown).toEqual(['fc00:0:0:1::', 'fc00:0:0:ffff::'])
  })

  test('a v4-mapped bound is an IPv4 address', () => {
    expect(parse({ Network: '10.3.0.0/16', SubnetMin: '::ffff:10.3.9.0' }).ipv4?.min as string).toBe(
      '10.3.9.0',
    )
  })

  test.each([
    ['{"Network":"10.3.0.0/16"}', 'udp'],
    ['{"Network":"10.3.0.0/16","Backend":null}', ''],
    ['{"Network":"10.3.0.0/16","Backend":{}}', ''],
    ['{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}', 'vxlan'],
    ['{"Network":"10.3.0.0/16","backend":{"type":"VXLAN"}}', 'vxlan'],
    ['{"Network":"10.3.0.0/16","Backend":{"type":"udp","Type":"host-gw","VNI":2}}', 'host-gw'],
  ])('the back end of %s is %p', (text, type) => expect(parseNetworkConfig(text).backendType).toBe(type))

  test('the whole Backend object is kept', () => {
    const backend = { Type: 'vxlan', VNI: 7, DirectRouting: true }
    expect(parse({ Network: '10.3.0.0/16', Backend: backend }).backend).toEqual(backend)
  })

  test('nf_tables is off unless asked for', () => {
    expect(parse({ Network: '10.3.0.0/16', enableNFTables: true }).enableNFTables).toBe(true)
  })
})

describe('a bad network config is refused with a sentence', () => {
  test.each([
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['{}', 'please define a correct Network parameter in the flannel config'],
    ['{"Network":"0.0.0.0/0"}', 'please define a correct Network parameter in the flannel config'],
    ['{"Network":"10.0.0.0/0"}', 'please define a correct Network parameter in the flannel config'],
    ['{"Network":"fc00::/48"}', 'invalid IPv4 CIDR format'],
    ['{"Network":"10.3.0.0"}', 'invalid IPv4 CIDR format'],
    ['{"Network":5}', 'invalid IPv4 CIDR format'],
    ['{"Network":"10.3.0.0/16","SubnetLen":31}', 'SubnetLen must be less than /31'],
    ['{"Network":"10.3.0.0/16","SubnetLen":17}', 'network must be able to accommodate at least four subnets'],
    ['{"Network":"10.3.0.0/29"}', 'network is too small. Minimum useful network prefix is /28'],
    ['{"Network":"10.3.0.0/16","SubnetLen":"24"}', 'SubnetLen must be a number'],
    ['{"Network":"10.3.0.0/16","SubnetLen":24.5}', 'SubnetLen must be a number'],
    ['{"Network":"10.3.0.0/16","SubnetLen":-1}', 'SubnetLen must be a number'],
    ['{"Network":"10.3.0.0/16","SubnetMin":"10.4.0.0"}', 'SubnetMin is not in the range of the Network'],
    ['{"Network":"10.3.0.0/16","SubnetMax":"10.4.0.0"}', 'SubnetMax is not in the range of the Network'],
    [
      '{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.16"}',
      'SubnetMin is not on a SubnetLen boundary: 10.3.1.16',
    ],
    [
      '{"Network":"10.3.0.0/16","SubnetMax":"10.3.1.16"}',
      'SubnetMax is not on a SubnetLen boundary: 10.3.1.16',
    ],
    ['{"Network":"10.3.0.0/16","SubnetMin":null}', 'SubnetMin must be an IPv4 address, not null'],
    ['{"Network":"10.3.0.0/16","SubnetMin":"x"}', 'SubnetMin must be an IPv4 address, not "x"'],
    ['{"Network":"10.3.0.0/16","SubnetMin":"10.3.9.0","SubnetMax":"10.3.8.0"}', 'no subnet could be leased'],
    ['{"Network":"10.3.0.0/16","EnableIPv4":"yes"}', 'EnableIPv4 must be true or false'],
    ['{"Network":"10.3.0.0/16","EnableIPv4":false}', 'neither EnableIPv4 nor EnableIPv6'],
    ['{"Network":"10.3.0.0/16","Backend":"vxlan"}', 'Backend must be a JSON object'],
    ['{"Network":"10.3.0.0/16","Backend":[]}', 'Backend must be a JSON object'],
    ['{"Network":"10.3.0.0/16","Backend":{"Type":1}}', 'Backend.Type must be a string'],
  ])('%s: %s', (text, reason) => expect(refusal(text)).toContain(reason))

  const v6 = (more: object): string =>
    JSON.stringify({ EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fc00::/48', ...more })
  test.each([
    [v6({ IPv6Network: null }), 'please define a correct IPv6Network parameter in the flannel config'],
    [v6({ IPv6Network: '::/0' }), 'please define a correct IPv6Network parameter in the flannel config'],
    [v6({ IPv6Network: '10.3.0.0/16' }), 'invalid IPv6 CIDR format'],
    [v6({ IPv6SubnetLen: 127 }), 'SubnetLen must be less than /127'],
    [v6({ IPv6SubnetLen: 49 }), 'network must be able to accommodate at least four subnets'],
    [v6({ IPv6Network: 'fc00::/125' }), 'IPv6Network is too small. Minimum useful network prefix is /124'],
    [v6({ IPv6SubnetMin: 'fc01::' }), 'IPv6SubnetMin is not in the range of the IPv6Network'],
    [v6({ IPv6SubnetMax: 'fc01::' }), 'IPv6SubnetMax is not in the range of the IPv6Network'],
    [v6({ IPv6SubnetMin: 'fc00::1' }), 'IPv6SubnetMin is not on a SubnetLen boundary: fc00::1'],
    [v6({ IPv6SubnetMax: 'fc00::1' }), 'IPv6SubnetMax is not on a SubnetLen boundary: fc00::1'],
  ])('%s: %s', (text, reason) => expect(refusal(text)).toContain(reason))

  test('whatever the text, nothing but a NetworkConfigError comes out', () => {
    const field = fc.oneof(
      fc.jsonValue(),
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('10.3.0.0/16', 'fc00::/48', true, 26),
    )
    const config = fc.record(
      {
        Network: field,
        IPv6Network: field,
        EnableIPv4: field,
        EnableIPv6: field,
        SubnetLen: field,
        SubnetMin: field,
        SubnetMax: field,
        IPv6SubnetLen: field,
        IPv6SubnetMin: field,
        IPv6SubnetMax: field,
        Backend: field,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          config.map((c) => JSON.stringify(c)),
        ),
        (text) => {
          try {
            parseNetworkConfig(text)
          } catch (error) {
            expect(error).toBeInstanceOf(NetworkConfigError)
            expect((error as Error).message.length).toBeGreaterThan(10)
          }
        },
      ),
      { numRuns: 400 },
    )
  })
})

describe('the subnets of a range', () => {
  const ranges = fc
    .oneof(
      fc.tuple(fc.constant('ipv4' as const), fc.integer({ min: 4, max: 28 })),
      fc.tuple(fc.constant('ipv6' as const), fc.integer({ min: 8, max: 124 })),
    )
    .chain(([family, length]) => {
      const bits = bitsOf(family)
      const network = prefixOf(
        family === 'ipv4' ? baseOf(prefix('10.77.88.99/32')) : baseOf(prefix('fd12:3456::/128')),
        length,
      )
      const subnetLength = fc.integer({ min: length + 2, max: Math.min(length + 12, bits - 2) })
      const config = (n: number) =>
        family === 'ipv4'
          ? parse({ Network: network, SubnetLen: n }).ipv4
          : parse({ EnableIPv4: false, EnableIPv6: true, IPv6Network: network, IPv6SubnetLen: n }).ipv6
      return subnetLength.map((n): NetworkRange => config(n) ?? expect.unreachable())
    })

  test('are counted, allowed, apart, and end at max', () => {
    fc.assert(
      fc.property(ranges, (range) => {
        const count = subnetCount(range)
        const network = BigInt(range.subnetLength - lengthOf(range.network))
        expect(count).toBe((1n << network) - 1n)
        expect(baseOf(subnetAt(range, 0n))).toBe(range.min)
        expect(baseOf(subnetAt(range, count - 1n))).toBe(range.max)
        for (const index of [0n, count / 2n, count - 1n]) {
          const subnet = subnetAt(range, index)
          expect(allows(range, subnet)).toBe(true)
          expect(containsPrefix(range.network, subnet)).toBe(true)
          expect(ipToValue(baseOf(subnet)) - ipToValue(range.min)).toBe(
            index << BigInt(bitsOf(familyOfPrefix(subnet)) - range.subnetLength),
          )
        }
      }),
    )
  })

  test('of another length, family or outside the bounds are not allowed', () => {
    const range = parse({ Network: '10.3.0.0/16', SubnetMin: '10.3.1.0', SubnetMax: '10.3.25.0' }).ipv4!
    expect(allows(range, prefix('10.3.1.0/24'))).toBe(true)
    expect(allows(range, prefix('10.3.25.0/24'))).toBe(true)
    for (const bad of ['10.3.0.0/24', '10.3.26.0/24', '10.3.1.0/25', '10.4.1.0/24', 'fc00::/24'])
      expect(allows(range, prefix(bad))).toBe(false)
  })
})

describe('networks that are not masqueraded to', () => {
  const spared = (value: unknown) =>
    parse({ Network: '10.3.0.0/16', nonMasqueradeCIDRs: value }).nonMasqueradeCidrs

  test('are of both families, each once, by their bases', () => {
    expect(spared(['192.168.1.9/16', '192.168.0.0/16', 'fd00::/8'])?.map(String)).toEqual([
      '192.168.0.0/16',
      'fd00::/8',
    ])
    expect(spared([])).toBeUndefined()
    expect(spared(null)).toBeUndefined()
  })

  test.each([
    ['10.0.0.0/8', 'must be a list of CIDRs, not "10.0.0.0/8"'],
    [[10], 'must be a list of CIDRs, not [10]'],
    [['10.0.0.0'], '"10.0.0.0" is no CIDR; want one like 10.0.0.0/8'],
    [['10.0.0.0/33'], '"10.0.0.0/33" is no CIDR'],
    [['0.0.0.0/0'], '0.0.0.0/0 would let nothing be masqueraded; leave --ip-masq off for that'],
  ])('%j is refused', (value, why) => {
    expect(() => spared(value)).toThrow(
      `NonMasqueradeCIDRs${typeof value === 'string' || typeof value[0] === 'number' ? ' ' : ': '}${why}`,
    )
  })
})
