// IPv4 and IPv6 addresses as branded canonical text, so that equal addresses are equal strings, good as
// Map keys and in messages. Canonical is what Go prints: dotted quad, RFC 5952 for IPv6. Pure.

declare const v4: unique symbol
declare const v6: unique symbol
/** Dotted quad, e.g. `10.1.2.0`. */
export type IPv4 = string & { readonly [v4]: true }
/** RFC 5952 text, e.g. `fd00::1`; a v4-mapped address prints as `::ffff:1.2.3.4`. */
export type IPv6 = string & { readonly [v6]: true }
export type Ip = IPv4 | IPv6
export type Family = 'ipv4' | 'ipv6'

/** IPv4 first. */
export const FAMILIES = ['ipv4', 'ipv6'] as const satisfies readonly Family[]

export const familyOf = (ip: Ip): Family => (ip.includes(':') ? 'ipv6' : 'ipv4')
export const isIPv4 = (ip: Ip): ip is IPv4 => !ip.includes(':')
/** Address length in bits. */
export const bitsOf = (family: Family): 32 | 128 => (family === 'ipv4' ? 32 : 128)

const QUAD = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/

/** The IPv4 address written in `text`, or undefined. Strict: four decimal octets, no leading zeros (Go's rule). */
export function parseIPv4(text: string): IPv4 | undefined {
  const match = QUAD.exec(text)
  if (!match) return undefined
  for (let i = 1; i <= 4; i++) if (Number(match[i]) > 255) return undefined
  return text as IPv4
}

/** The IPv6 address written in `text` in canonical form, or undefined. Zones (`%eth0`) are not addresses. */
export function parseIPv6(text: string): IPv6 | undefined {
  const value = readIPv6(text)
  return value === undefined ? undefined : ipv6FromBigInt(value)
}

/** An IPv4 address as Go's net.ParseIP + To4 reads it: a v4-mapped IPv6 address (`::ffff:1.2.3.4`) counts too. */
export function parseIPv4OrMapped(text: string): IPv4 | undefined {
  const v6 = text.includes(':') ? parseIPv6(text) : undefined
  return parseIPv4(v6?.startsWith(MAPPED) ? v6.slice(MAPPED.length) : text)
}

/** An IPv6 address as Go's net.ParseIP + To16 reads it: an IPv4 address is mapped (`::ffff:1.2.3.4`). */
export function parseIPv6OrIPv4(text: string): IPv6 | undefined {
  return parseIPv6(parseIPv4(text) === undefined ? text : MAPPED + text)
}
const MAPPED = '::ffff:'

export const parseIp = (text: string): Ip | undefined =>
  text.includes(':') ? parseIPv6(text) : parseIPv4(text)

function readIPv6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = readGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? readGroups(halves[1] ?? '', true) : []
  if (!head || !tail) return undefined
  const gap = 8 - head.length - tail.length
  if (halves.length === 1 ? gap !== 0 : gap < 1) return undefined
  let value = 0n
  for (const group of [...head, ...Array<number>(gap).fill(0), ...tail])
    value = (value << 16n) | BigInt(group)
  return value
}

/** Colon-separated 16-bit groups; the last one may be a dotted quad where `quad` allows it. */
function readGroups(text: string, quad: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const embedded = quad && index === parts.length - 1 ? parseIPv4(part) : undefined
      if (embedded === undefined) return undefined
      const value = ipv4ToNumber(embedded)
      groups.push(value >>> 16, value & 0xffff)
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16))
    else return undefined
  }
  return groups
}

/** The address as an unsigned 32-bit number, network order read as big-endian. */
export function ipv4ToNumber(ip: IPv4): number {
  let value = 0
  let octet = 0
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i)
    if (code === 46) {
      value = value * 256 + octet
      octet = 0
    } else octet = octet * 10 + code - 48
  }
  return value * 256 + octet
}

export const ipv4FromNumber = (value: number): IPv4 =>
  `${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}` as IPv4

export function ipv6ToBigInt(ip: IPv6): bigint {
  const value = readIPv6(ip)
  if (value === undefined) throw new RangeError(`not an IPv6 address: ${ip}`)
  return value
}

export function ipv6FromBigInt(value: bigint): IPv6 {
  const groups: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn))
  return formatIPv6(groups)
}

/** RFC 5952 §4: lower case, the longest run of two or more zero groups compressed, the first of equals. */
function formatIPv6(groups: readonly number[]): IPv6 {
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff)
    return `::ffff:${ipv4FromNumber(((groups[6] ?? 0) << 16) | (groups[7] ?? 0))}` as IPv6
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > length) [start, length] = [i, end - i]
    if (end > i) i = end
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(':')
  return (start < 0 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`) as IPv6
}

/** The address in network byte order: 4 or 16 bytes. */
export function ipToBytes(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(isIPv4(ip) ? 4 : 16)
  if (isIPv4(ip)) new DataView(bytes.buffer).setUint32(0, ipv4ToNumber(ip))
  else {
    const value = ipv6ToBigInt(ip)
    new DataView(bytes.buffer).setBigUint64(0, value >> 64n)
    new DataView(bytes.buffer).setBigUint64(8, value & 0xffff_ffff_ffff_ffffn)
  }
  return bytes
}

/** The address in `bytes` (4 or 16, network order). Any other length is an error of the caller's. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as IPv4
  if (bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`)
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  return formatIPv6(groups)
}

/** An address as a number of its family's width; `ipFromValue` is its inverse. */
export const ipToValue = (ip: Ip): bigint => (isIPv4(ip) ? BigInt(ipv4ToNumber(ip)) : ipv6ToBigInt(ip))
export const ipFromValue = (family: Family, value: bigint): Ip =>
  family === 'ipv4' ? ipv4FromNumber(Number(value)) : ipv6FromBigInt(value)
