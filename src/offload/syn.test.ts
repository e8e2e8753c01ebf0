// The request of our own, and what counts as its answer.
import { describe, expect, test } from 'bun:test'
import { ip } from '../../test/support/values.ts'
import { ipToBytes } from '../model/ip.ts'
import { internetChecksum, pseudoHeader } from '../sys/internet-checksum.ts'
import { answers, type Ends, IPPROTO_TCP, synOf } from './syn.ts'

const SEQUENCE = 0xffff_ffff
const ends = (source: string, target: string): Ends => ({
  source: ip(source),
  sourcePort: 50_000,
  target: ip(target),
  targetPort: 8472,
})
const CASES = [ends('10.244.1.0', '10.244.2.0'), ends('fd00:244:0:1::', 'fd00:244:0:2::')]
const RST_ACK = 0x14
const SYN_ACK = 0x12

test.each(CASES)('holds its checksum (%j)', (each) => {
  const syn = synOf(each, SEQUENCE)
  const pseudo = pseudoHeader(ipToBytes(each.source), ipToBytes(each.target), IPPROTO_TCP, syn.length)
  expect(internetChecksum(pseudo, syn)).toBe(0)
})

describe.each(CASES)('an answer (%j)', (each) => {
  const reply = (flags: number, changes: Partial<Ends> & { acknowledged?: number } = {}): Uint8Array => {
    const { sourcePort, targetPort } = { ...each, ...changes }
    const ipHeader = each.target.includes(':') ? [] : [0x45, ...Array<number>(19).fill(0)]
    const bytes = Uint8Array.from([...ipHeader, ...Array<number>(20).fill(0)])
    const view = new DataView(bytes.buffer, ipHeader.length)
    view.setUint16(0, targetPort)
    view.setUint16(2, sourcePort)
    view.setUint32(8, changes.acknowledged ?? 0)
    view.setUint8(13, flags)
    return bytes
  }
  test.each([
    ['is a refusal', reply(RST_ACK), true],
    ['is a consent', reply(SYN_ACK), true],
    ['to another port is none', reply(RST_ACK, { sourcePort: 50_001 }), false],
    ['from another port is none', reply(RST_ACK, { targetPort: 80 }), false],
    ['to another request is none', reply(RST_ACK, { acknowledged: 7 }), false],
    ['without ACK is none', reply(0x04), false],
    ['with ACK alone is none', reply(0x10), false],
    ['cut short is none', reply(RST_ACK).subarray(0, 19), false],
    ['of no bytes is none', new Uint8Array(0), false],
  ])('%s', (_what, packet, is) => expect(answers(packet, each, SEQUENCE)).toBe(is))
})
