// IPv4 and IPv6 text, bytes and numbers: Go's and RFC 5952's forms, strict parsing, round trips.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import {
  bitsOf,
  familyOf,
  ipFromBytes,
  ipFromValue,
  ipToBytes,
  ipToValue,
  ipv4FromNumber,
  ipv4ToNumber,
  ipv6FromBigInt,
  ipv6ToBigInt,
  parseIp,
  parseIPv4,
  parseIPv4OrMapped,
  parseIPv6,
  parseIPv6OrIPv4,
  type Ip,
} from './ip.ts'

const ip = (text: string): Ip => parseIp(text) ?? expect.unreachable(text)
const anyIp = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }).map((n): Ip => ipv4FromNumber(n)),
  fc.bigInt(0n, (1n << 128n) - 1n).map((n): Ip => ipv6FromBigInt(n)),
  // Many zero groups, where the text form has its corners.
  fc
    .array(fc.constantFrom(0n, 0n, 0n, 1n, 0xffffn, 0x10n), { minLength: 8, maxLength: 8 })
    .map((groups): Ip => ipv6FromBigInt(groups.reduce<bigint>((sum, g) => (sum << 16n) | g, 0n))),
)

describe('IPv4 text', () => {
  test('is a dotted quad', () => {
    expect(parseIPv4('1.2.3.4') as string | undefined).toBe('1.2.3.4')
    expect([...ipToBytes(ip('1.2.3.4'))]).toEqual([1, 2, 3, 4])
    expect(ipv4ToNumber(ipv4FromNumber(0x0102_0304))).toBe(0x0102_0304)
    expect(JSON.stringify(parseIPv4('1.2.3.4'))).toBe('"1.2.3.4"')
  })

  test('is refused with leading zeros, other bases, or too few, too many or too large octets', () => {
    const bad = [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '1.2.3.256',
      '1.2.3.04',
      '0x1.2.3.4',
      ' 1.2.3.4',
      '1.2.3.4 ',
    ]
    for (const text of [...bad, '1.2.3.4\n', '1..3.4', '-1.2.3.4', '2001:db8::1'])
      expect(parseIPv4(text)).toBeUndefined()
  })

  test('may come as a v4-mapped IPv6 address where Go takes one', () => {
    expect(parseIPv4OrMapped('::ffff:1.2.3.4')).toBe(parseIPv4('1.2.3.4'))
    expect(parseIPv4OrMapped('::FFFF:102:304')).toBe(parseIPv4('1.2.3.4'))
    expect(parseIPv4OrMapped('1.2.3.4')).toBe(parseIPv4('1.2.3.4'))
    for (const text of ['::1.2.3.4', '2001:db8::1', '::ffff:1:2:3', '::ffff:0:1.2.3.4', 'x', ''])
      expect(parseIPv4OrMapped(text)).toBeUndefined()
  })
})

describe('IPv6 text', () => {
  test.each([
    ['fc00::1', 'fc00::1'],
    ['::', '::'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::1', '::1'],
    ['2001:DB8::0001', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['::ffff:102:304', '::ffff:1.2.3.4'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ])('%s reads as %s', (text, canonical) => {
    expect(parseIPv6(text) as string | undefined).toBe(canonical)
  })

  test('is refused when it names no address', () => {
    const bad = [
      '',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '12345::',
      'g::',
      'fe80::1%eth0',
    ]
    for (const text of [
      ...bad,
      '1:2:3:4:5:6:7:8::',
      ':1:2:3:4:5:6:7',
      '1.2.3.4',
      '1.2.3.4::',
      '::1.2.3.4:5',
      '::1.2.3',
    ])
      expect(parseIPv6(text)).toBeUndefined()
  })

  test('may come as IPv4 text where Go maps it', () => {
    expect(parseIPv6OrIPv4('1.2.3.4') as string).toBe('::ffff:1.2.3.4')
    expect(parseIPv6OrIPv4('fd00::1') as string).toBe('fd00::1')
    expect(parseIPv6OrIPv4('01.2.3.4')).toBeUndefined()
  })

  test('is what the platform prints', () => {
    fc.assert(
      fc.property(anyIp, (address) => {
        if (familyOf(address) === 'ipv4' || address.startsWith('::ffff:')) return true
        return new URL(`http://[${address}]/`).hostname === `[${address}]`
      }),
    )
  })
})

describe('an address', () => {
  test('survives text, value and bytes', () => {
    fc.assert(
      fc.property(anyIp, (address) => {
        expect(parseIp(address)).toBe(address)
        expect(ipFromValue(familyOf(address), ipToValue(address))).toBe(address)
        expect(ipFromBytes(ipToBytes(address))).toBe(address)
        expect(ipToBytes(address).length * 8).toBe(bitsOf(familyOf(address)))
      }),
    )
  })

  test('never throws on text that is none', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.]{0,24}$/)), (text) => {
        const read = parseIp(text)
        return read === undefined || parseIp(read) === read
      }),
    )
  })

  test('has 4 or 16 bytes, and numbers of its width', () => {
    expect(() => ipFromBytes(new Uint8Array(5))).toThrow(RangeError)
    expect(() => ipv6ToBigInt('nonsense' as never)).toThrow(RangeError)
    expect(ipToValue(ip('255.255.255.255'))).toBe(0xffff_ffffn)
  })
})
