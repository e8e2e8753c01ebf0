// A TCP connection request as the kernel sends one, with a checksum of our own, and what answers it (RFC 9293). Pure.
import { type Ip, ipToBytes } from '../model/ip.ts'
import { internetChecksum, pseudoHeader } from '../sys/internet-checksum.ts'

export const IPPROTO_TCP = 6
const FLAG = { syn: 0x02, rst: 0x04, ack: 0x10 } as const
/** As Linux has them: MSS 1410, SACK permitted, a timestamp, window scale 7. A firewall sees no difference. */
const OPTIONS = [2, 4, 0x05, 0x82, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]
const WINDOW = 64_860
const HEADER_BYTES = 20

export interface Ends {
  readonly source: Ip
  readonly sourcePort: number
  readonly target: Ip
  readonly targetPort: number
}

/** The segment, without an IP header. */
export function synOf({ source, sourcePort, target, targetPort }: Ends, sequence: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + OPTIONS.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, sourcePort)
  view.setUint16(2, targetPort)
  view.setUint32(4, sequence)
  bytes[12] = (bytes.length / 4) << 4
  bytes[13] = FLAG.syn
  view.setUint16(14, WINDOW)
  bytes.set(OPTIONS, HEADER_BYTES)
  const pseudo = pseudoHeader(ipToBytes(source), ipToBytes(target), IPPROTO_TCP, bytes.length)
  view.setUint16(16, internetChecksum(pseudo, bytes))
  return bytes
}

/**
 * Whether what a raw socket has received from the target, with IPv4's header or without IPv6's, is its refusal of that
 * request, or its consent.
 */
export function answers(packet: Uint8Array, ends: Ends, sequence: number): boolean {
  const start = ends.target.includes(':') ? 0 : ((packet[0] ?? 0) & 0x0f) * 4
  if (packet.length < start + HEADER_BYTES) return false
  const view = new DataView(packet.buffer, packet.byteOffset + start, HEADER_BYTES)
  const flags = view.getUint8(13)
  return (
    view.getUint16(0) === ends.targetPort &&
    view.getUint16(2) === ends.sourcePort &&
    view.getUint32(8) === (sequence + 1) >>> 0 &&
    (flags & FLAG.ack) !== 0 &&
    (flags & (FLAG.rst | FLAG.syn)) !== 0
  )
}
