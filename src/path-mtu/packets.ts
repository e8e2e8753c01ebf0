// Probes and their answers in bytes. A probe is what the VXLAN device itself would send, but forbids routers to take it
// apart: an ICMP echo request to the peer's VTEP, which any kernel answers that has it as an address, padded to the size
// asked for. Pure.
import { ipToBytes } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'
import { internetChecksum, pseudoHeader } from '../sys/internet-checksum.ts'
import type { Target, Tunnel } from './target.ts'

const UDP = 17
const PROTOCOL = { ipv4: 1, ipv6: 58 } as const
const ECHO_REQUEST = { ipv4: 8, ipv6: 128 } as const
const ECHO_REPLY = { ipv4: 0, ipv6: 129 } as const
const ETHER_TYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const
const IP_BYTES = { ipv4: 20, ipv6: 40 } as const
const ETHERNET_BYTES = 14
const UDP_BYTES = 8
const VXLAN_BYTES = 8
const ICMP_BYTES = 8
export const NONCE_BYTES = 8
const HOPS = 64
/** RFC 7348 §5: the VNI is valid. */
const VXLAN_FLAGS = 0x08
const DONT_FRAGMENT = 0x4000
const FRAGMENT = 44

export interface Probe {
  /** Tells whose answer it is: of the process, and of the probe. */
  readonly id: number
  readonly sequence: number
  readonly nonce: Uint8Array
  /** UDP source port: which of several ways it takes. */
  readonly sourcePort: number
  /** Of the outer packet, from its IP header on. */
  readonly bytes: number
}

/** Writes the outer IP packet and returns its bytes; all of `into` it needs is overwritten. */
export function writeProbe(into: Uint8Array, tunnel: Tunnel, target: Target, probe: Probe): Uint8Array {
  const packet = into.subarray(0, probe.bytes)
  packet.fill(0)
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  const { family } = tunnel
  const ip = IP_BYTES[family]
  const [source, remote] = [ipToBytes(tunnel.local), ipToBytes(target.remote)]
  writeIp(view, 0, { protocol: UDP, source, target: remote })
  const udp = ip
  view.setUint16(udp, probe.sourcePort)
  view.setUint16(udp + 2, tunnel.port)
  view.setUint16(udp + 4, packet.length - ip)
  const vxlan = udp + UDP_BYTES
  view.setUint8(vxlan, VXLAN_FLAGS)
  view.setUint32(vxlan + 4, tunnel.vni << 8)
  const frame = vxlan + VXLAN_BYTES
  packet.set(macBytes(target.mac), frame)
  packet.set(macBytes(tunnel.mac), frame + 6)
  view.setUint16(frame + 12, ETHER_TYPE[family])
  const inner = frame + ETHERNET_BYTES
  const [vtep, peer] = [ipToBytes(tunnel.vtep), ipToBytes(target.vtep)]
  writeIp(view, inner, { protocol: PROTOCOL[family], source: vtep, target: peer })
  const icmp = inner + ip
  view.setUint8(icmp, ECHO_REQUEST[family])
  view.setUint16(icmp + 4, probe.id)
  view.setUint16(icmp + 6, probe.sequence)
  packet.set(probe.nonce, icmp + ICMP_BYTES)
  const message = packet.subarray(icmp)
  const over = family === 'ipv4' ? [] : [pseudoHeader(vtep, peer, PROTOCOL.ipv6, message.length)]
  view.setUint16(icmp + 2, internetChecksum(...over, message))
  const datagram = packet.subarray(udp)
  const sum = internetChecksum(pseudoHeader(source, remote, UDP, datagram.length), datagram)
  // 0 says that there is no checksum (RFC 768).
  view.setUint16(udp + 6, sum === 0 ? 0xffff : sum)
  return packet
}

interface IpHeader {
  readonly protocol: number
  readonly source: Uint8Array
  readonly target: Uint8Array
}

/** The header at `at` of a packet that reaches to the end. */
function writeIp(view: DataView, at: number, { protocol, source, target }: IpHeader): void {
  const length = view.byteLength - at
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, length)
  if (source.length === 4) {
    view.setUint8(at, 0x45)
    view.setUint16(at + 2, length)
    view.setUint16(at + 6, DONT_FRAGMENT)
    view.setUint8(at + 8, HOPS)
    view.setUint8(at + 9, protocol)
    bytes.set(source, 12)
    bytes.set(target, 16)
    view.setUint16(at + 10, internetChecksum(bytes.subarray(0, 20)))
    return
  }
  view.setUint8(at, 0x60)
  view.setUint16(at + 4, length - 40)
  view.setUint8(at + 6, protocol)
  view.setUint8(at + 7, HOPS)
  bytes.set(source, 8)
  bytes.set(target, 24)
}

const macBytes = (mac: Mac): Uint8Array => Buffer.from(mac.replaceAll(':', ''), 'hex')

export interface Answer {
  readonly id: number
  readonly sequence: number
  readonly nonce: Uint8Array
  /** Who sent it, as the bytes of its address. */
  readonly from: Uint8Array
}

/**
 * The echo reply in an Ethernet frame, or in the part of it that was kept: undefined for all else. Of a reply in
 * fragments the first counts: a peer that knows of a smaller path back takes its answers apart.
 */
export function readAnswer(frame: Uint8Array): Answer | undefined {
  if (frame.length < ETHERNET_BYTES) return undefined
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const type = view.getUint16(12)
  const start = type === ETHER_TYPE.ipv4 ? icmpOfIpv4(view) : type === ETHER_TYPE.ipv6 ? icmpOfIpv6(view) : 0
  if (start === 0 || frame.length < start + ICMP_BYTES + NONCE_BYTES) return undefined
  const family = type === ETHER_TYPE.ipv4 ? 'ipv4' : 'ipv6'
  if (frame[start] !== ECHO_REPLY[family]) return undefined
  const source = ETHERNET_BYTES + (family === 'ipv4' ? 12 : 8)
  return {
    id: view.getUint16(start + 4),
    sequence: view.getUint16(start + 6),
    nonce: frame.subarray(start + ICMP_BYTES, start + ICMP_BYTES + NONCE_BYTES),
    from: frame.subarray(source, source + (family === 'ipv4' ? 4 : 16)),
  }
}

/** Where the ICMP message begins; 0 if there is none. */
function icmpOfIpv4(view: DataView): number {
  if (view.byteLength < ETHERNET_BYTES + IP_BYTES.ipv4) return 0
  const isFirst = (view.getUint16(ETHERNET_BYTES + 6) & 0x1fff) === 0
  if (!isFirst || view.getUint8(ETHERNET_BYTES + 9) !== PROTOCOL.ipv4) return 0
  return ETHERNET_BYTES + (view.getUint8(ETHERNET_BYTES) & 0x0f) * 4
}

function icmpOfIpv6(view: DataView): number {
  const payload = ETHERNET_BYTES + IP_BYTES.ipv6
  if (view.byteLength < payload + 8) return 0
  const next = view.getUint8(ETHERNET_BYTES + 6)
  if (next === PROTOCOL.ipv6) return payload
  const isFirst = next === FRAGMENT && (view.getUint16(payload + 2) & 0xfff8) === 0
  return isFirst && view.getUint8(payload) === PROTOCOL.ipv6 ? payload + 8 : 0
}
