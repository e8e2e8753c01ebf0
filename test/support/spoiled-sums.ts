// Frames whose checksums the kernel has left to the device, and what a device makes of them: a good one fills in all of
// them, a bad one only the outer ones.
import { internetChecksum, pseudoHeader } from '../../src/sys/internet-checksum.ts'

const ETHERNET_BYTES = 14
const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const
const PROTOCOL = { tcp: 6, udp: 17 } as const
/** Where the checksum is in each header. */
const SUM_AT = { [PROTOCOL.tcp]: 16, [PROTOCOL.udp]: 6 } as const
const UDP_BYTES = 8
const VXLAN_BYTES = 8
const VXLAN_PORT = 8472

/** Of a tunnelled packet: `bad` leaves the inner sum as it is, and zeroes the outer one where that means none (IPv4). */
export type Device = 'good' | 'bad'

/** Fills in, in place, what a device of that make does. */
export function fillIn(frame: Uint8Array, device: Device): void {
  const packet = ipPacket(frame)
  if (packet === undefined) return
  const { family, protocol, source, target, body } = packet
  const at = SUM_AT[protocol]
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const isTunnel = protocol === PROTOCOL.udp && view.getUint16(2) === VXLAN_PORT
  if (isTunnel && device === 'good') fillIn(body.subarray(UDP_BYTES + VXLAN_BYTES), device)
  view.setUint16(at, 0)
  if (isTunnel && device === 'bad' && family === 'ipv4') return
  const sum = internetChecksum(pseudoHeader(source, target, protocol, body.length), body)
  view.setUint16(at, sum === 0 && protocol === PROTOCOL.udp ? 0xffff : sum)
}

/** TCP or UDP in a whole IP packet; undefined for all else, and for fragments. */
function ipPacket(frame: Uint8Array) {
  if (frame.length < ETHERNET_BYTES + 20) return undefined
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const type = view.getUint16(12)
  const ip = ETHERNET_BYTES
  if (type === ETHERTYPE.ipv4) {
    const protocol = known(view.getUint8(ip + 9))
    if (protocol === undefined || (view.getUint16(ip + 6) & 0x3fff) !== 0) return undefined
    const body = frame.subarray(ip + (view.getUint8(ip) & 0x0f) * 4, ip + view.getUint16(ip + 2))
    const [source, target] = [frame.subarray(ip + 12, ip + 16), frame.subarray(ip + 16, ip + 20)]
    return { family: 'ipv4', protocol, source, target, body } as const
  }
  if (type !== ETHERTYPE.ipv6) return undefined
  const protocol = known(view.getUint8(ip + 6))
  if (protocol === undefined) return undefined
  const body = frame.subarray(ip + 40, ip + 40 + view.getUint16(ip + 4))
  const [source, target] = [frame.subarray(ip + 8, ip + 24), frame.subarray(ip + 24, ip + 40)]
  return { family: 'ipv6', protocol, source, target, body } as const
}

const known = (protocol: number) =>
  protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp ? protocol : undefined
