// Keys and attributes of leases as upstream writes them, to the byte; whatever else is refused with a sentence.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ipv4FromNumber, ipv6FromBigInt, parseIPv4, parseIPv6 } from './ip.ts'
import {
  formatLeaseAttributes,
  formatSubnetKey,
  isSameJson,
  leaseOf,
  parseLease,
  parseLeaseAttributes,
  parseSubnetKey,
  subnetsOf,
  type Json,
  type LeaseAttributes,
} from './lease.ts'
import { parsePrefix, prefixOf, type Prefix } from './prefix.ts'

const prefix = (text: string): Prefix => parsePrefix(text) ?? expect.unreachable(text)
const ip4 = (text: string) => parseIPv4(text) ?? expect.unreachable(text)
const ip6 = (text: string) => parseIPv6(text) ?? expect.unreachable(text)
const attributes = (a: Partial<LeaseAttributes>): LeaseAttributes => ({
  publicIp: ip4('192.168.64.3'),
  publicIpv6: undefined,
  backendType: '',
  backendData: undefined,
  backendV6Data: undefined,
  ...a,
})

describe('JSON of a back end', () => {
  const same = { VNI: 1, VtepMAC: '02:00:00:00:00:01' }
  test.each<[string, Json | undefined, Json | undefined, boolean]>([
    ['in another order', { VtepMAC: same.VtepMAC, VNI: 1 }, same, true],
    ['of another value', { ...same, VNI: 2 }, same, false],
    ['with a name more', { ...same, Port: 1 }, same, false],
    ['with another name', { VNI: 1, VtepMac: same.VtepMAC }, same, false],
    ['deep within', [{ a: [1, null] }], [{ a: [1, null] }], true],
    ['deep within, but for one', [{ a: [1, null] }], [{ a: [1, 0] }], false],
    ['a list that has an object’s names', ['x'], { 0: 'x' }, false],
    ['null', null, {}, false],
    ['none', undefined, null, false],
    ['text', '1', 1, false],
  ])('is the same, or not: %s', (_, a, b, wanted) => {
    expect(isSameJson(a, b)).toBe(wanted)
    expect(isSameJson(b, a)).toBe(wanted)
  })
})

describe('subnet key', () => {
  test.each([
    ['10.12.13.0-24', '10.12.13.0/24', undefined],
    ['10.12.13.0-24&fd00:12:13::-56', '10.12.13.0/24', 'fd00:12:13::/56'],
    ['10.5.52.0-24&fd00:10:5:34::-64', '10.5.52.0/24', 'fd00:10:5:34::/64'],
    ['10.5.52.32-27', '10.5.52.32/27', undefined],
    // Upstream's MakeSubnetKey of a lease without an IPv4 subnet.
    ['0.0.0.0-0&fd00:10:5:34::-64', undefined, 'fd00:10:5:34::/64'],
  ])('%s names %s and %s, and back', (key, v4, v6) => {
    const parsed = parseSubnetKey(key)
    expect(parsed as unknown).toEqual({ ipv4: v4, ipv6: v6 })
    const half = (text: string | undefined) => (text === undefined ? undefined : prefix(text))
    expect(formatSubnetKey(half(v4), half(v6)) as string).toBe(key)
  })

  test.each([
    ['10'],
    ['10.12.13.0'],
    ['10.12.13-24'],
    ['10.12.13.300-24'],
    ['10.12.13.0-24hi'],
    ['&2001::-56'],
    ['10.12.13.0-24&:12:13:-56'],
    ['10.12.13.0-24&20011::-56'],
    ['10.12.13.0-24&2001-56'],
    ['10.12.13.0-24&2001::'],
    ['10.12.13.0-24&2001::-56hi'],
    // Ours beyond upstream's table: host bits, lengths no half can have, and text before the key.
    ['10.12.13.1-24'],
    ['10.12.13.0-32'],
    ['10.12.13.0-24&fd00::1-64'],
    ['10.12.13.0-24&fd00::-128'],
    ['10.12.13.0-24&FD00::-64'],
    ['x10.12.13.0-24'],
    ['10.0.0.0-08'],
    ['10.12.13.0-24&fd00::-064'],
    ['010.12.13.0-24'],
    ['10.12.13.0-24\n'],
    ['10.12.13.0-24&10.12.13.0-24'],
    [''],
  ])('%p names none', (key) => expect(parseSubnetKey(key)).toBeUndefined())

  test('survives being written and read', () => {
    const v4 = fc
      .tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 31 }))
      .map(([n, length]) => prefixOf(ipv4FromNumber(n), length))
    const v6 = fc
      .tuple(fc.bigInt(1n << 100n, (1n << 128n) - 1n), fc.integer({ min: 28, max: 127 }))
      .map(([n, length]) => prefixOf(ipv6FromBigInt(n), length))
    fc.assert(
      fc.property(v4, fc.option(v6, { nil: undefined }), (ipv4, ipv6) => {
        // All of IPv4 beside IPv6 is how a key says that it has none.
        const none = ipv4 === '0.0.0.0/0' && ipv6 !== undefined
        expect(parseSubnetKey(formatSubnetKey(ipv4, ipv6))).toEqual({ ipv4: none ? undefined : ipv4, ipv6 })
      }),
    )
  })

  test('reading any text never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,12}-?\d{0,3}&?[0-9a-f:]{0,9}-?\d{0,4}$/)),
        (text) => {
          parseSubnetKey(text)
        },
      ),
    )
  })
})

describe('lease attributes are written as upstream writes them', () => {
  const mac = { VNI: 1, VtepMAC: 'c6:d2:32:6f:8f:44' }
  const mac6 = { VNI: 1, VtepMAC: '2a:91:5e:07:d3:10' }
  const publicIpv6 = ip6('2001:db8::3')
  test.each([
    [
      'vxlan',
      attributes({ backendType: 'vxlan', backendData: mac }),
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    ],
    [
      'vxlan dual stack',
      attributes({ publicIpv6, backendType: 'vxlan', backendData: mac, backendV6Data: mac6 }),
      '{"PublicIP":"192.168.64.3","PublicIPv6":"2001:db8::3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"2a:91:5e:07:d3:10"}}',
    ],
    [
      'host-gw',
      attributes({ backendType: 'host-gw' }),
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"host-gw"}',
    ],
    [
      'host-gw dual stack',
      attributes({ publicIpv6, backendType: 'host-gw' }),
      '{"PublicIP":"192.168.64.3","PublicIPv6":"2001:db8::3","BackendType":"host-gw"}',
    ],
    ['udp, alloc, tencent-vpc', attributes({}), '{"PublicIP":"192.168.64.3","PublicIPv6":null}'],
    [
      'wireguard',
      attributes({ backendType: 'wireguard', backendData: { PublicKey: 'Kq1c=', Port: 51820 } }),
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"Kq1c=","Port":51820}}',
    ],
    [
      'extension, whose output has what Go escapes',
      attributes({ backendType: 'extension', backendData: '<a> & "b"\u2028' }),
      String.raw`{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"extension","BackendData":"\u003ca\u003e \u0026 \"b\"\u2028"}`,
    ],
    ['no address', attributes({ publicIp: undefined }), '{"PublicIP":"0.0.0.0","PublicIPv6":null}'],
  ])('%s', (_, a, text) => {
    expect(formatLeaseAttributes(a)).toBe(text)
    expect(parseLeaseAttributes(text)).toEqual(a)
  })

  const json = fc.jsonValue({ maxDepth: 3 }).filter((v) => v !== null) as fc.Arbitrary<Json>
  const anyAttributes: fc.Arbitrary<LeaseAttributes> = fc.record({
    publicIp: fc.option(fc.integer({ min: 1, max: 0xffff_ffff }).map(ipv4FromNumber), { nil: undefined }),
    publicIpv6: fc.option(fc.bigInt(1n, (1n << 128n) - 1n).map(ipv6FromBigInt), { nil: undefined }),
    backendType: fc.string(),
    backendData: fc.option(json, { nil: undefined }),
    backendV6Data: fc.option(json, { nil: undefined }),
  })
  test('and read back as they were', () => {
    fc.assert(
      fc.property(anyAttributes, (a) => {
        const text = formatLeaseAttributes(a)
        expect(text).not.toMatch(/[<>&\u2028\u2029]/)
        // Through JSON once: -0 and the like have no text of their own.
        expect(parseLeaseAttributes(text)).toEqual(
          parseLeaseAttributes(
            formatLeaseAttributes(parseLeaseAttributes(text) as LeaseAttributes),
          ) as LeaseAttributes,
        )
        expect(parseLeaseAttributes(text)).toMatchObject({
          publicIp: a.publicIp,
          publicIpv6: a.publicIpv6,
          backendType: a.backendType,
        })
      }),
    )
  })
})

describe('lease attributes are read with Go’s rules', () => {
  test('keys match whatever their case; unknown ones are ignored', () => {
    expect(parseLeaseAttributes('{"publicip":"1.2.3.4","BACKENDTYPE":"vxlan","Other":[1]}')).toEqual(
      attributes({ publicIp: ip4('1.2.3.4'), backendType: 'vxlan' }),
    )
  })

  test('a v4-mapped PublicIP and an IPv4 PublicIPv6 are taken', () => {
    expect(parseLeaseAttributes('{"PublicIP":"::ffff:1.2.3.4","PublicIPv6":"1.2.3.4"}')).toEqual(
      attributes({ publicIp: ip4('1.2.3.4'), publicIpv6: ip6('::ffff:1.2.3.4') }),
    )
  })

  test('an absent PublicIP is none', () => {
    expect(parseLeaseAttributes('{}')).toEqual(attributes({ publicIp: undefined }))
  })

  test.each([
    ['', 'not JSON'],
    ['{"PublicIP":"1.2.3.4"', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['"x"', 'not a JSON object'],
    ['{"PublicIP":null}', 'PublicIP null is not an IPv4 address'],
    ['{"PublicIP":"2001:db8::1"}', 'PublicIP "2001:db8::1" is not an IPv4 address'],
    ['{"PublicIP":16909060}', 'PublicIP 16909060'],
    ['{"PublicIPv6":"x"}', 'PublicIPv6 "x" is not an IPv6 address'],
    ['{"PublicIPv6":{}}', 'PublicIPv6 {}'],
    ['{"BackendType":1}', 'BackendType 1 is not a string'],
  ])('%p is refused: %s', (text, reason) => expect(parseLeaseAttributes(text)).toContain(reason))
})

describe('a lease', () => {
  test('keeps each family by itself, under the key it is stored by', () => {
    const lease = parseLease(
      '10.5.52.0-24&fd00:10:5:34::-64',
      '{"PublicIP":"192.168.64.3","PublicIPv6":"2001:db8::3","BackendType":"vxlan","BackendData":{"VNI":1},"BackendV6Data":{"VNI":2}}',
      7n,
    )
    expect(lease as unknown).toEqual({
      key: '10.5.52.0-24&fd00:10:5:34::-64',
      backendType: 'vxlan',
      ipv4: { subnet: '10.5.52.0/24', publicIp: '192.168.64.3', backendData: { VNI: 1 } },
      ipv6: { subnet: 'fd00:10:5:34::/64', publicIp: '2001:db8::3', backendData: { VNI: 2 } },
      createRevision: 7n,
    })
    // The long way to write the same subnet is another key of the store's, and stays so.
    expect(parseLease('10.5.52.0-24&fd00:10:5:34:0::-64', '{}', 1n)).toMatchObject({
      key: '10.5.52.0-24&fd00:10:5:34:0::-64',
      ipv6: { subnet: 'fd00:10:5:34::/64' },
    })
  })

  test('lists its subnets', () => {
    const [v4, v6] = [prefix('10.1.2.0/24'), prefix('fd00::/64')]
    expect(subnetsOf(leaseOf(v4, v6, attributes({}), 1n))).toEqual([v4, v6])
  })

  test.each([
    ['10.5.1.0-24', '{"PublicIP":"192.168.0.1","BackendType":"vxlan"}', undefined],
    ['10.5.1.0-24&fc00::-64', '{"PublicIP":"192.168.0.1","PublicIPv6":"fc00::1"}', undefined],
    ['10.5.1.0-24', '{"PublicIP":"2001:db8::1"}', 'PublicIP'],
    ['not-a-subnet', '{}', '"not-a-subnet" does not name a subnet'],
    ['', '', 'does not name a subnet'],
  ])('%p with %p: %p', (key, value, reason) => {
    const lease = parseLease(key, value, 0n)
    if (reason === undefined) expect(lease).toMatchObject({ createRevision: 0n })
    else expect(lease).toContain(reason)
  })

  test('of any key and value is a lease or a sentence, never an exception', () => {
    const value = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record(
          {
            PublicIP: fc.jsonValue(),
            publicip: fc.ipV4(),
            PublicIPv6: fc.oneof(fc.jsonValue(), fc.ipV6()),
            BackendType: fc.jsonValue(),
            BackendData: fc.jsonValue(),
            __proto__: fc.jsonValue(),
          },
          { requiredKeys: [] },
        )
        .map((o) => JSON.stringify(o)),
    )
    fc.assert(
      fc.property(fc.constantFrom('10.5.1.0-24', '10.5.1.0-24&fc00::-64', 'x'), value, (key, text) => {
        const lease = parseLease(key, text, 1n)
        if (typeof lease === 'string') expect(lease.length).toBeGreaterThan(10)
        else expect(subnetsOf(lease).length).toBeGreaterThan(0)
      }),
    )
  })
})
