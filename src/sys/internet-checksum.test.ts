// The checksum against the example of RFC 1071 and packets of the kernel's.
import { expect, test } from 'bun:test'
import { array, assert as check, integer, property } from 'fast-check'
import { internetChecksum, pseudoHeader } from './internet-checksum.ts'

test('is that of RFC 1071 §3', () =>
  expect(internetChecksum(Buffer.from('0001f203f4f5f6f7', 'hex'))).toBe(~0xddf2 & 0xffff))

test('is 0 over what holds its checksum, also in parts and of odd length', () =>
  check(
    property(array(integer({ min: 0, max: 255 }), { minLength: 4 }), (values) => {
      const bytes = Uint8Array.from(values)
      bytes.set([0, 0], 2)
      new DataView(bytes.buffer).setUint16(2, internetChecksum(bytes))
      expect(internetChecksum(bytes)).toBe(0)
      expect(internetChecksum(bytes.subarray(0, 2), bytes.subarray(2))).toBe(0)
    }),
  ))

// An echo request of `ping -6 ::1`, as tcpdump shows it.
test('sums a pseudo header first, of either family', () => {
  const loopback = Buffer.from('00000000000000000000000000000001', 'hex')
  expect(Buffer.from(pseudoHeader(loopback, loopback, 58, 8)).toString('hex')).toBe(
    `${'0'.repeat(31)}1${'0'.repeat(31)}1000000080000003a`,
  )
  expect(
    Buffer.from(pseudoHeader(Buffer.of(10, 0, 0, 1), Buffer.of(10, 0, 0, 2), 6, 40)).toString('hex'),
  ).toBe('0a0000010a00000200060028')
})
