// Prefixes (subnets) as branded canonical text `address/length`, host bits always zero. Pure.
import {
  bitsOf,
  familyOf,
  ipFromValue,
  ipv4FromNumber,
  ipToValue,
  ipv4ToNumber,
  isIPv4,
  parseIp,
  type Family,
  type Ip,
} from './ip.ts'

declare const prefix: unique symbol
/** e.g. `10.1.2.0/24` or `fd00:1::/64`. */
export type Prefix = string & { readonly [prefix]: true }

/** The prefix of `length` bits that holds `ip`; host bits are cleared. Throws RangeError for a length the family lacks. */
export function prefixOf(ip: Ip, length: number): Prefix {
  const family = familyOf(ip)
  const bits = bitsOf(family)
  if (!Number.isInteger(length) || length < 0 || length > bits)
    throw new RangeError(`/${length} is not a prefix length of ${family}`)
  if (isIPv4(ip)) {
    const value = ipv4ToNumber(ip)
    const size = 2 ** (bits - length)
    const base = value % size === 0 ? ip : ipv4FromNumber(value - (value % size))
    return `${base}/${length}` as Prefix
  }
  const host = BigInt(bits - length)
  return `${ipFromValue(family, (ipToValue(ip) >> host) << host)}/${length}` as Prefix
}

/** An address together with its prefix length, as an interface or FLANNEL_SUBNET has it (`10.1.2.1/24`). */
export interface AddressWithLength {
  ip: Ip
  length: number
}

export function parseAddressWithLength(text: string): AddressWithLength | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text)
  const ip = match?.[1] === undefined ? undefined : parseIp(match[1])
  const length = Number(match?.[2])
  return ip === undefined || length > bitsOf(familyOf(ip)) ? undefined : { ip, length }
}

/** The prefix written in `text`, host bits cleared (`10.244.1.5/16` → `10.244.0.0/16`), or undefined. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = parseAddressWithLength(text)
  return parsed && prefixOf(parsed.ip, parsed.length)
}

const slash = (p: Prefix): number => p.lastIndexOf('/')
export const baseOf = (p: Prefix): Ip => p.slice(0, slash(p)) as Ip
export const lengthOf = (p: Prefix): number => Number(p.slice(slash(p) + 1))
export const familyOfPrefix = (p: Prefix): Family => (p.includes(':') ? 'ipv6' : 'ipv4')
export const isV4Prefix = (p: Prefix): boolean => !p.includes(':')

/** How many addresses the prefix holds. */
export const sizeOf = (p: Prefix): bigint => 1n << BigInt(bitsOf(familyOfPrefix(p)) - lengthOf(p))

/** The address `offset` after the prefix's base. Throws RangeError outside the prefix. */
export function addressAt(p: Prefix, offset: bigint): Ip {
  if (offset < 0n || offset >= sizeOf(p)) throw new RangeError(`${p} has no address at offset ${offset}`)
  return ipFromValue(familyOfPrefix(p), ipToValue(baseOf(p)) + offset)
}

export function containsIp(p: Prefix, ip: Ip): boolean {
  if (familyOfPrefix(p) !== familyOf(ip)) return false
  const base = baseOf(p)
  if (isIPv4(ip) && isIPv4(base)) {
    const shift = 32 - lengthOf(p)
    return shift === 32 || ipv4ToNumber(ip) >>> shift === ipv4ToNumber(base) >>> shift
  }
  const host = BigInt(bitsOf(familyOf(ip)) - lengthOf(p))
  return ipToValue(ip) >> host === ipToValue(base) >> host
}

/** Whether all of `inner` lies in `outer`; false across families. */
export const containsPrefix = (outer: Prefix, inner: Prefix): boolean =>
  lengthOf(inner) >= lengthOf(outer) && containsIp(outer, baseOf(inner))

/** Of prefixes of one length only equal ones do: text is canonical, and no number need be read. */
export const overlaps = (a: Prefix, b: Prefix): boolean =>
  a === b || (lengthOf(a) !== lengthOf(b) && (containsPrefix(a, b) || containsPrefix(b, a)))
