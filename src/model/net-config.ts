// The network config (`<prefix>/config`, net-conf.json): upstream's keys, defaults and refusals
// (flannel-compat 2). Go's JSON rules: keys match whatever their case, unknown ones are ignored. Pure.
import { ipFromValue, ipToValue, parseIPv4OrMapped, parseIPv6OrIPv4, type Family, type Ip } from './ip.ts'
import type { Json } from './lease.ts'
import {
  baseOf,
  containsIp,
  familyOfPrefix,
  lengthOf,
  parsePrefix,
  prefixOf,
  sizeOf,
  type Prefix,
} from './prefix.ts'

/** One family's network and how it is cut into subnets of `subnetLength` bits, from `min` to `max` (bases, inclusive). */
export interface NetworkRange {
  readonly network: Prefix
  readonly subnetLength: number
  readonly min: Ip
  readonly max: Ip
}

export interface NetworkConfig {
  readonly ipv4: NetworkRange | undefined
  readonly ipv6: NetworkRange | undefined
  readonly enableNFTables: boolean
  /** heddle's own key, which upstream ignores: where pods go with their own addresses, however --ip-masq is set. */
  readonly nonMasqueradeCidrs?: readonly Prefix[]
  /** Lower case. */
  readonly backendType: string
  /** The whole Backend object, for the back end to parse. */
  readonly backend: { readonly [key: string]: Json }
}

/** Why a config can't be used; the message is upstream's where upstream has one. */
export class NetworkConfigError extends Error {
  readonly code = 'config'
  override readonly name = 'NetworkConfigError'
}

const refuse = (message: string): never => {
  throw new NetworkConfigError(message)
}

type Fields = ReadonlyMap<string, Json>

/** Parses and validates the config's JSON text. Throws NetworkConfigError. */
export function parseNetworkConfig(text: string): NetworkConfig {
  const fields = fieldsOf(text)
  const ipv4 = bool(fields, 'EnableIPv4', true)
  const ipv6 = bool(fields, 'EnableIPv6', false)
  if (!ipv4 && !ipv6)
    refuse('neither EnableIPv4 nor EnableIPv6 is true: the network needs at least one family')
  const backend = fields.get('backend')
  if (backend !== undefined && (typeof backend !== 'object' || Array.isArray(backend)))
    refuse(`Backend must be a JSON object, not ${JSON.stringify(backend)}`)
  const object = (backend ?? {}) as { readonly [key: string]: Json }
  return {
    ipv4: ipv4 ? range(fields, 'ipv4') : undefined,
    ipv6: ipv6 ? range(fields, 'ipv6') : undefined,
    enableNFTables: bool(fields, 'EnableNFTables', false),
    ...sparedBy(fields),
    backendType: fields.has('backend') ? typeOf(object) : 'udp',
    backend: object,
  }
}

function fieldsOf(text: string): Fields {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new NetworkConfigError(
      `the network config is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return refuse('the network config is not a JSON object')
  return new Map(
    Object.entries(json as Record<string, Json>).map(([key, value]) => [key.toLowerCase(), value]),
  )
}

function typeOf(backend: { readonly [key: string]: Json }): string {
  const type = Object.entries(backend).findLast(([key]) => key.toLowerCase() === 'type')?.[1] ?? ''
  return typeof type === 'string'
    ? type.toLowerCase()
    : refuse(`Backend.Type must be a string, not ${JSON.stringify(type)}`)
}

function bool(fields: Fields, key: string, otherwise: boolean): boolean {
  const value = fields.get(key.toLowerCase()) ?? otherwise
  return typeof value === 'boolean'
    ? value
    : refuse(`${key} must be true or false, not ${JSON.stringify(value)}`)
}

const NON_MASQUERADE = 'NonMasqueradeCIDRs'

function sparedBy(fields: Fields): Pick<NetworkConfig, 'nonMasqueradeCidrs'> {
  const value = fields.get(NON_MASQUERADE.toLowerCase()) ?? []
  if (!Array.isArray(value) || !value.every((cidr) => typeof cidr === 'string'))
    return refuse(`${NON_MASQUERADE} must be a list of CIDRs, not ${JSON.stringify(value)}`)
  const parsed = parseSpared(value)
  if (typeof parsed === 'string') return refuse(`${NON_MASQUERADE}: ${parsed}`)
  return parsed.length === 0 ? {} : { nonMasqueradeCidrs: parsed }
}

/** Of both families, each once; or what is wrong with one of them. */
export function parseSpared(cidrs: readonly string[]): readonly Prefix[] | string {
  const prefixes = new Set<Prefix>()
  for (const cidr of cidrs) {
    const prefix = parsePrefix(cidr)
    if (prefix === undefined) return `${JSON.stringify(cidr)} is no CIDR; want one like 10.0.0.0/8`
    if (lengthOf(prefix) === 0)
      return `${cidr} would let nothing be masqueraded; leave --ip-masq off for that`
    prefixes.add(prefix)
  }
  return [...prefixes]
}

/** What differs between the families: names, limits and defaults. */
const RULES = {
  ipv4: { prefix: '', label: '', maxLength: 30, longest: 28, roomy: 22, usual: 24 },
  ipv6: { prefix: 'IPv6', label: 'IPv6', maxLength: 126, longest: 124, roomy: 62, usual: 64 },
} as const

function range(fields: Fields, family: Family): NetworkRange {
  const { prefix, ...rule } = RULES[family]
  const name = (key: string) => `${prefix}${key}`
  const network = networkOf(fields, family, name('Network'))
  const length = lengthOf(network)
  const subnetLength = subnetLengthOf(fields, family, length, name('SubnetLen'))
  const step = 1n << BigInt((family === 'ipv4' ? 32 : 128) - subnetLength)
  const base = ipToValue(baseOf(network))
  const bound = (key: string, otherwise: bigint): Ip => {
    const ip = addressOf(fields, family, name(key)) ?? ipFromValue(family, otherwise)
    if (!containsIp(network, ip)) refuse(`${name(key)} is not in the range of the ${rule.label}Network`)
    if (ipToValue(ip) % step !== 0n) refuse(`${name(key)} is not on a SubnetLen boundary: ${ip}`)
    return ip
  }
  const min = bound('SubnetMin', base + step)
  const max = bound('SubnetMax', base + sizeOf(network) - step)
  if (ipToValue(min) > ipToValue(max))
    refuse(`${name('SubnetMin')} ${min} is above ${name('SubnetMax')} ${max}: no subnet could be leased`)
  return { network, subnetLength, min, max }
}

function networkOf(fields: Fields, family: Family, name: string): Prefix {
  const value = fields.get(name.toLowerCase()) ?? undefined
  const missing = `please define a correct ${name} parameter in the flannel config`
  if (value === undefined) return refuse(missing)
  const network = typeof value === 'string' ? parsePrefix(value) : undefined
  if (network === undefined || familyOfPrefix(network) !== family)
    return refuse(
      `${name}: invalid ${family === 'ipv4' ? 'IPv4' : 'IPv6'} CIDR format: ${JSON.stringify(value)}`,
    )
  return lengthOf(network) === 0 ? refuse(missing) : network
}

function subnetLengthOf(fields: Fields, family: Family, length: number, name: string): number {
  const rule = RULES[family]
  const given = fields.get(name.toLowerCase()) ?? 0
  if (typeof given !== 'number' || !Number.isInteger(given) || given < 0)
    return refuse(`${name} must be a number of bits, not ${JSON.stringify(given)}`)
  if (given > 0) {
    if (given > rule.maxLength) refuse(`SubnetLen must be less than /${rule.maxLength + 1}`)
    return given < length + 2 ? refuse('network must be able to accommodate at least four subnets') : given
  }
  if (length > rule.longest)
    refuse(
      `${rule.label}${rule.label ? 'Network' : 'network'} is too small. Minimum useful network prefix is /${rule.longest}`,
    )
  return length <= rule.roomy ? rule.usual : length + 2
}

/** The address in that field; undefined if it is absent or, as upstream has it, zero. */
function addressOf(fields: Fields, family: Family, name: string): Ip | undefined {
  if (!fields.has(name.toLowerCase())) return undefined
  const value = fields.get(name.toLowerCase())
  if (value === null && family === 'ipv6') return undefined
  const parse = family === 'ipv4' ? parseIPv4OrMapped : parseIPv6OrIPv4
  const ip =
    (typeof value === 'string' ? parse(value) : undefined) ??
    refuse(`${name} must be an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address, not ${JSON.stringify(value)}`)
  return ipToValue(ip) === 0n ? undefined : ip
}

/** Whether a subnet may be leased under this range: right length, base within min..max. */
export const allows = (range: NetworkRange, subnet: Prefix): boolean =>
  familyOfPrefix(subnet) === familyOfPrefix(range.network) &&
  lengthOf(subnet) === range.subnetLength &&
  ipToValue(baseOf(subnet)) >= ipToValue(range.min) &&
  ipToValue(baseOf(subnet)) <= ipToValue(range.max)

/** The `index`-th subnet of the range, counted from `min`. */
export const subnetAt = (range: NetworkRange, index: bigint): Prefix => {
  const family = familyOfPrefix(range.network)
  const step = BigInt((family === 'ipv4' ? 32 : 128) - range.subnetLength)
  return prefixOf(ipFromValue(family, ipToValue(range.min) + (index << step)), range.subnetLength)
}

/** How many subnets the range holds. */
export const subnetCount = (range: NetworkRange): bigint => {
  const step = BigInt((familyOfPrefix(range.network) === 'ipv4' ? 32 : 128) - range.subnetLength)
  return ((ipToValue(range.max) - ipToValue(range.min)) >> step) + 1n
}
