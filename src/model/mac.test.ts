// MAC addresses: the forms Go accepts, one canonical text.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { isMulticastMac, isZeroMac, localMac, macFromBytes, parseMac } from './mac.ts'

const sixBytes = fc.uint8Array({ minLength: 6, maxLength: 6 })

describe('a MAC address', () => {
  test.each(['c6:d2:32:6f:8f:44', 'C6:D2:32:6F:8F:44', 'c6-d2-32-6f-8f-44', 'c6d2.326f.8f44'])(
    'reads %s',
    (text) => {
      expect(parseMac(text) as string | undefined).toBe('c6:d2:32:6f:8f:44')
    },
  )

  test.each([
    '',
    'c6:d2:32:6f:8f',
    'c6:d2:32:6f:8f:44:55',
    'c6:d2-32:6f:8f:44',
    'c6d2326f8f44',
    'g6:d2:32:6f:8f:44',
  ])('refuses %p', (text) => expect(parseMac(text)).toBeUndefined())

  test('survives text and bytes', () => {
    fc.assert(
      fc.property(sixBytes, (bytes) => {
        const mac = macFromBytes(bytes)
        expect(mac.replaceAll(':', '')).toBe(Buffer.from(bytes).toString('hex'))
        expect(parseMac(mac)).toBe(mac)
      }),
    )
  })

  test('made locally is unicast, locally administered, never zero', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 32 }), (bytes) => {
        const mac = localMac(bytes)
        return !isMulticastMac(mac) && !isZeroMac(mac) && (parseInt(mac.slice(0, 2), 16) & 2) === 2
      }),
    )
  })

  test('knows groups and zero', () => {
    expect(isMulticastMac(parseMac('ff:ff:ff:ff:ff:ff')!)).toBe(true)
    expect(isMulticastMac(parseMac('01:00:5e:00:00:01')!)).toBe(true)
    expect(isMulticastMac(parseMac('02:00:5e:00:00:01')!)).toBe(false)
    expect(isZeroMac(parseMac('00:00:00:00:00:00')!)).toBe(true)
    expect(() => macFromBytes(new Uint8Array(8))).toThrow(RangeError)
  })
})
