// The checksum of IP, ICMP, UDP and TCP (RFC 1071).

/** Of the parts one after the other, each but the last of an even length; to be written in network order. 0 over bytes that hold their checksum. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0
  for (const bytes of parts)
    for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** What TCP, UDP and ICMPv6 sum in front of their own bytes (RFC 9293 §3.1, RFC 8200 §8.1). */
export function pseudoHeader(
  source: Uint8Array,
  target: Uint8Array,
  protocol: number,
  length: number,
): Uint8Array {
  const tail = new Uint8Array(source.length === 4 ? 4 : 8)
  const view = new DataView(tail.buffer)
  if (source.length === 4) {
    view.setUint16(0, protocol)
    view.setUint16(2, length)
  } else {
    view.setUint32(0, length)
    view.setUint32(4, protocol)
  }
  return Uint8Array.of(...source, ...target, ...tail)
}
