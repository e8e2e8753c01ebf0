// Which addresses a network may give out, and in which order: host-local's ranges and its round robin. Pure.
import { familyOf, ipFromValue, ipToValue, parseIp, type Ip } from '../../model/ip.ts'
import { bitsOf } from '../../model/ip.ts'
import {
  addressAt,
  containsIp,
  familyOfPrefix,
  isV4Prefix,
  lengthOf,
  parsePrefix,
  sizeOf,
  type Prefix,
} from '../../model/prefix.ts'
import { Code, CniError } from '../error.ts'
import { field, isObject, type JsonObject, type JsonValue } from '../json.ts'

/** Part of a subnet; both ends belong to it, the gateway is never given out. */
export interface Range {
  readonly subnet: Prefix
  readonly first: Ip
  readonly last: Ip
  readonly gateway: Ip
}
/** A pod gets one address of each set. */
export type RangeSet = readonly Range[]

/** `ipam.ranges`, behind the old form that has one range in `ipam` itself. Throws CniError. */
export function parseRanges(ipam: JsonObject): readonly RangeSet[] {
  const ranges = field(ipam, 'ranges') ?? []
  if (!Array.isArray(ranges)) return refuse(`ipam.ranges must be a list, not ${JSON.stringify(ranges)}`)
  const sets = (ranges as readonly JsonValue[]).map((set) => {
    if (!Array.isArray(set) || set.length === 0)
      return refuse(`an entry of ipam.ranges must be a list of ranges, not ${JSON.stringify(set)}`)
    return (set as readonly JsonValue[]).map(parseRange)
  })
  if (field(ipam, 'subnet') !== undefined) sets.unshift([parseRange(ipam)])
  if (sets.length === 0) return refuse('no IP ranges specified')
  for (const [i, set] of sets.entries()) checkSet(set, i, sets.slice(0, i))
  return sets
}

function parseRange(json: JsonValue): Range {
  if (!isObject(json)) return refuse(`a range must be an object, not ${JSON.stringify(json)}`)
  const text = field(json, 'subnet')
  const subnet = typeof text === 'string' ? parsePrefix(text) : undefined
  if (subnet === undefined) return refuse(`subnet of a range must be a CIDR, not ${JSON.stringify(text)}`)
  const bits = bitsOf(familyOfPrefix(subnet))
  if (lengthOf(subnet) > bits - 2) return refuse(`Network ${subnet} too small to allocate from`)
  const ip = (name: string, otherwise: Ip): Ip => {
    const value = field(json, name)
    if (value === undefined) return otherwise
    const parsed = typeof value === 'string' ? parseIp(value) : undefined
    if (parsed === undefined) return refuse(`${name} must be an IP address, not ${JSON.stringify(value)}`)
    return containsIp(subnet, parsed) ? parsed : refuse(`${name} ${parsed} not in network ${subnet}`)
  }
  // The broadcast address is left out; IPv6 has none.
  const end = addressAt(subnet, sizeOf(subnet) - (isV4Prefix(subnet) ? 2n : 1n))
  const range = {
    subnet,
    first: ip('rangeStart', addressAt(subnet, 1n)),
    last: ip('rangeEnd', end),
    gateway: ip('gateway', addressAt(subnet, 1n)),
  }
  return ipToValue(range.first) <= ipToValue(range.last)
    ? range
    : refuse(`rangeEnd ${range.last} is before rangeStart ${range.first}`)
}

function checkSet(set: RangeSet, index: number, before: readonly RangeSet[]): void {
  if (new Set(set.map(({ first }) => familyOf(first))).size > 1)
    refuse(`invalid range set ${index}: it mixes IPv4 and IPv6`)
  for (const [i, range] of set.entries())
    if (set.slice(0, i).some((other) => overlaps(range, other)))
      refuse(`invalid range set ${index}: its ranges overlap`)
  for (const [i, other] of before.entries())
    if (set.some((range) => other.some((their) => overlaps(range, their))))
      refuse(`range set ${index} overlaps with ${i}`)
}

const overlaps = (a: Range, b: Range): boolean =>
  familyOf(a.first) === familyOf(b.first) &&
  ipToValue(a.first) <= ipToValue(b.last) &&
  ipToValue(b.first) <= ipToValue(a.last)

/** The range of the set that holds `ip`. */
export const rangeOf = (set: RangeSet, ip: Ip): Range | undefined =>
  set.find(
    ({ first, last }) =>
      familyOf(first) === familyOf(ip) &&
      ipToValue(first) <= ipToValue(ip) &&
      ipToValue(ip) <= ipToValue(last),
  )

/** Every address of the set once, from the one after `last` round to it: an address that was let go rests longest. */
export function* candidates(set: RangeSet, last: Ip | undefined): Generator<{ ip: Ip; range: Range }> {
  const current = last === undefined ? undefined : rangeOf(set, last)
  if (last === undefined || current === undefined) {
    for (const range of set) yield* addresses(range, ipToValue(range.first), ipToValue(range.last))
    return
  }
  yield* addresses(current, ipToValue(last) + 1n, ipToValue(current.last))
  const at = set.indexOf(current)
  for (const range of [...set.slice(at + 1), ...set.slice(0, at)])
    yield* addresses(range, ipToValue(range.first), ipToValue(range.last))
  yield* addresses(current, ipToValue(current.first), ipToValue(last))
}

function* addresses(range: Range, from: bigint, to: bigint): Generator<{ ip: Ip; range: Range }> {
  const family = familyOfPrefix(range.subnet)
  const gateway = ipToValue(range.gateway)
  for (let value = from; value <= to; value++)
    if (value !== gateway) yield { ip: ipFromValue(family, value), range }
}

const refuse = (message: string): never => {
  throw new CniError(Code.badConfig, message)
}
