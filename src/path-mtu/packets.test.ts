// Probes are what other implementations of VXLAN, UDP and ICMP take for theirs; answers are read and nothing else is.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { internetChecksum, pseudoHeader } from '../sys/internet-checksum.ts'
import { readAnswer, writeProbe, type Probe } from './packets.ts'
import type { Target, Tunnel } from './target.ts'

const FOUR = {
  tunnel: {
    device: 'flannel.1',
    family: 'ipv4',
    vni: 0x123456,
    port: 8472,
    mac: mac('02:00:00:00:04:01'),
    local: ip('192.168.0.1'),
    vtep: ip('10.244.1.0'),
    overheadBytes: 50,
  },
  target: {
    device: 'flannel.1',
    subnet: prefix('10.244.2.0/24'),
    vtep: ip('10.244.2.0'),
    mac: mac('02:00:00:00:04:02'),
    remote: ip('192.168.0.2'),
  },
  header: 20,
} as const satisfies { tunnel: Tunnel; target: Target; header: number }
const SIX = {
  tunnel: {
    ...FOUR.tunnel,
    family: 'ipv6',
    local: ip('fd00::1'),
    vtep: ip('fd44:0:0:1::'),
    overheadBytes: 70,
  },
  target: { ...FOUR.target, remote: ip('fd00::2'), vtep: ip('fd44:0:0:2::') },
  header: 40,
} as const satisfies { tunnel: Tunnel; target: Target; header: number }

const probe = (bytes: number): Probe => ({
  id: 0xabcd,
  sequence: 0x1234,
  nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  sourcePort: 40000,
  bytes,
})
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test.each([
  ['IPv4', FOUR],
  ['IPv6', SIX],
] as const)('a probe over %s is of the size asked for, with all checksums right', (_name, it) => {
  const { tunnel, target, header } = it
  fc.assert(
    fc.property(fc.integer({ min: 200, max: 9000 }), (bytes) => {
      const packet = writeProbe(new Uint8Array(9000).fill(0xff), tunnel, target, probe(bytes))
      expect(packet.length).toBe(bytes)
      const datagram = packet.subarray(header)
      const inner = datagram.subarray(8 + 8 + 14)
      const over = (of: Uint8Array, protocol: number, length: number) =>
        header === 20
          ? pseudoHeader(of.subarray(12, 16), of.subarray(16, 20), protocol, length)
          : pseudoHeader(of.subarray(8, 24), of.subarray(24, 40), protocol, length)
      expect(internetChecksum(over(packet, 17, datagram.length), datagram)).toBe(0)
      const message = inner.subarray(header)
      if (header === 20) {
        expect(internetChecksum(packet.subarray(0, 20))).toBe(0)
        expect(internetChecksum(inner.subarray(0, 20))).toBe(0)
        expect(internetChecksum(message)).toBe(0)
      } else expect(internetChecksum(over(inner, 58, message.length), message)).toBe(0)
    }),
  )
})

test('a probe over IPv4, byte by byte', () => {
  const packet = writeProbe(new Uint8Array(200), FOUR.tunnel, FOUR.target, probe(100))
  expect(hex(packet)).toBe(
    [
      '45000064000040004011b935c0a80001c0a80002', // IP, don't fragment
      '9c4021180050' + hex(packet.subarray(26, 28)), // UDP
      '0800000012345600', // VXLAN
      '0200000004020200000004010800',
      '4500003200004000400121e40af401000af40200',
      '0800' + hex(packet.subarray(72, 74)) + 'abcd12340102030405060708' + '00'.repeat(14),
    ].join(''),
  )
})

describe('an answer', () => {
  test('is read with who sent it', () => {
    const frame = new Uint8Array(64)
    const view = new DataView(frame.buffer)
    view.setUint16(12, 0x0800)
    frame[14] = 0x45
    frame[23] = 1
    frame.set([10, 244, 2, 0], 26)
    view.setUint16(38, 0xabcd)
    view.setUint16(40, 0x1234)
    frame.set([1, 2, 3, 4, 5, 6, 7, 8], 42)
    expect(readAnswer(frame)).toEqual({
      id: 0xabcd,
      sequence: 0x1234,
      nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      from: Uint8Array.of(10, 244, 2, 0),
    })
    // Of one in fragments the first counts alone.
    view.setUint16(20, 0x2000)
    expect(readAnswer(frame)).toBeDefined()
    view.setUint16(20, 0x2001)
    expect(readAnswer(frame)).toBeUndefined()
  })

  test('of IPv6 is read whole and from a first fragment', () => {
    for (const at of [54, 62]) {
      const frame = new Uint8Array(96)
      const view = new DataView(frame.buffer)
      view.setUint16(12, 0x86dd)
      frame[20] = at === 54 ? 58 : 44
      if (at === 62) frame[54] = 58
      frame[at] = 129
      view.setUint16(at + 4, 7)
      expect(readAnswer(frame)?.id).toBe(7)
      if (at === 62) view.setUint16(56, 0x0008)
      else frame[at] = 128
      expect(readAnswer(frame)).toBeUndefined()
    }
  })

  test('nothing else is read, whatever bytes there are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
        const answer = readAnswer(bytes)
        if (answer !== undefined)
          expect([0x0800, 0x86dd]).toContain(new DataView(bytes.buffer, bytes.byteOffset).getUint16(12))
      }),
    )
  })
})
