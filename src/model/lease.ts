// A lease: one host's slice of the network, each family by itself, and its text form in the store (upstream's,
// to the byte; flannel-compat 3.1 and 3.2.2). Pure.
import {
  parseIPv4,
  parseIPv4OrMapped,
  parseIPv6,
  parseIPv6OrIPv4,
  type Ip,
  type IPv4,
  type IPv6,
} from './ip.ts'
import { baseOf, lengthOf, prefixOf, type Prefix } from './prefix.ts'

/**
 * Name of a lease in its store as it is written there: `10.5.52.0-24`, `10.5.52.0-24&fd00:10:5:34::-64`, and of a network
 * without IPv4 `0.0.0.0-0&fd00:10:5:34::-64`.
 */
declare const subnetKey: unique symbol
export type SubnetKey = string & { readonly [subnetKey]: true }

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Whatever the order of names. */
export function isSameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [ours, theirs] = [a, b] as Record<string, Json>[]
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length && names.every((name) => isSameJson(ours?.[name], theirs?.[name]))
  )
}

/** One family's half of a lease. `backendData` is the back end's own (VTEP MAC, public key …). */
export interface LeaseHalf<I> {
  readonly subnet: Prefix
  /** Where other hosts send this half's traffic; absent if the writer published none. */
  readonly publicIp: I | undefined
  readonly backendData: Json | undefined
}

export interface Lease {
  readonly key: SubnetKey
  /** Lower case; empty for udp, alloc and tencent-vpc, as upstream writes it. */
  readonly backendType: string
  readonly ipv4: LeaseHalf<IPv4> | undefined
  readonly ipv6: LeaseHalf<IPv6> | undefined
  /** Orders two claimants of one subnet: the earlier stays. */
  readonly createRevision: bigint
}

/** What a host publishes about itself: a lease without its place. */
export interface LeaseAttributes {
  readonly publicIp: IPv4 | undefined
  readonly publicIpv6: IPv6 | undefined
  readonly backendType: string
  readonly backendData: Json | undefined
  readonly backendV6Data: Json | undefined
}

/** What a key names: one subnet or two. */
interface Subnets {
  readonly ipv4: Prefix | undefined
  readonly ipv6: Prefix | undefined
}
/** Go's zero value: how a key says that there is no IPv4 subnet. */
const NO_IPV4 = '0.0.0.0/0' as Prefix

/** Lower-case hex only, as upstream has it (`FD00::` is none to it), and lengths without leading zeros. */
const KEY = /^(\d+\.\d+\.\d+\.\d+)-(0|[1-9]\d?)(?:&([0-9a-f:]+)-(0|[1-9]\d{0,2}))?$/

/** The subnets that a key names, or undefined if it is no lease's key. A key with host bits set is none either. */
export function parseSubnetKey(key: string): Subnets | undefined {
  const match = KEY.exec(key)
  const base = match?.[1] === undefined ? undefined : parseIPv4(match[1])
  const length = Number(match?.[2])
  if (base === undefined || length > 31) return undefined
  const ipv4 = prefixOf(base, length)
  if (baseOf(ipv4) !== base) return undefined
  if (match?.[3] === undefined) return { ipv4, ipv6: undefined }
  const base6 = parseIPv6(match[3])
  const length6 = Number(match[4])
  if (base6 === undefined || length6 > 127) return undefined
  const ipv6 = prefixOf(base6, length6)
  return baseOf(ipv6) === base6 ? { ipv4: ipv4 === NO_IPV4 ? undefined : ipv4, ipv6 } : undefined
}

/** As upstream's MakeSubnetKey. */
export function formatSubnetKey(ipv4: Prefix | undefined, ipv6: Prefix | undefined): SubnetKey {
  const half = (p: Prefix) => `${baseOf(p)}-${lengthOf(p)}`
  const first = half(ipv4 ?? NO_IPV4)
  return (ipv6 === undefined ? first : `${first}&${half(ipv6)}`) as SubnetKey
}

/** LeaseAttrs as Go's encoder writes them: fixed order, no spaces, `<>&` and U+2028/9 escaped. */
export function formatLeaseAttributes(a: LeaseAttributes): string {
  const fields = [
    `"PublicIP":"${a.publicIp ?? '0.0.0.0'}"`,
    `"PublicIPv6":${a.publicIpv6 === undefined ? 'null' : `"${a.publicIpv6}"`}`,
  ]
  if (a.backendType !== '') fields.push(`"BackendType":${goJson(a.backendType)}`)
  if (a.backendData !== undefined) fields.push(`"BackendData":${goJson(a.backendData)}`)
  if (a.backendV6Data !== undefined) fields.push(`"BackendV6Data":${goJson(a.backendV6Data)}`)
  return `{${fields.join(',')}}`
}

const goJson = (value: Json): string =>
  JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** LeaseAttrs read back; a sentence that says what is wrong otherwise. Keys match whatever their case, as in Go. */
export function parseLeaseAttributes(text: string): LeaseAttributes | string {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    return `lease attributes are not JSON (${cause instanceof Error ? cause.message : String(cause)})`
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return 'lease attributes are not a JSON object'
  let ip: Json = '0.0.0.0'
  let ip6: Json | undefined
  let type: Json = ''
  let backendData: Json | undefined
  let backendV6Data: Json | undefined
  // Of names that differ in case alone the last counts, as in Go.
  for (const [name, value] of Object.entries(json as Record<string, Json>))
    switch (name.toLowerCase()) {
      case 'publicip':
        ip = value
        break
      case 'publicipv6':
        ip6 = value ?? undefined
        break
      case 'backendtype':
        type = value ?? ''
        break
      case 'backenddata':
        backendData = value ?? undefined
        break
      case 'backendv6data':
        backendV6Data = value ?? undefined
    }
  const publicIp = typeof ip === 'string' ? parseIPv4OrMapped(ip) : undefined
  if (publicIp === undefined) return `PublicIP ${JSON.stringify(ip)} is not an IPv4 address`
  const publicIpv6 = typeof ip6 === 'string' ? parseIPv6OrIPv4(ip6) : undefined
  if (ip6 !== undefined && publicIpv6 === undefined)
    return `PublicIPv6 ${JSON.stringify(ip6)} is not an IPv6 address`
  if (typeof type !== 'string') return `BackendType ${JSON.stringify(type)} is not a string`
  return {
    publicIp: publicIp === '0.0.0.0' ? undefined : publicIp,
    publicIpv6,
    backendType: type,
    backendData,
    backendV6Data,
  }
}

/** A lease from its key and value as stored, under the very key it is stored by; a sentence if either is bad. */
export function parseLease(key: string, value: string, createRevision: bigint): Lease | string {
  const subnets = parseSubnetKey(key)
  if (!subnets) return `${JSON.stringify(key)} does not name a subnet (a.b.c.d-len, or a.b.c.d-len&v6-len)`
  const attributes = parseLeaseAttributes(value)
  return typeof attributes === 'string'
    ? attributes
    : leaseAs(key as SubnetKey, subnets, attributes, createRevision)
}

export const leaseOf = (
  ipv4: Prefix | undefined,
  ipv6: Prefix | undefined,
  attributes: LeaseAttributes,
  createRevision: bigint,
): Lease => leaseAs(formatSubnetKey(ipv4, ipv6), { ipv4, ipv6 }, attributes, createRevision)

const leaseAs = (
  key: SubnetKey,
  { ipv4, ipv6 }: Subnets,
  a: LeaseAttributes,
  createRevision: bigint,
): Lease => ({
  key,
  backendType: a.backendType,
  ipv4: ipv4 && { subnet: ipv4, publicIp: a.publicIp, backendData: a.backendData },
  ipv6: ipv6 && { subnet: ipv6, publicIp: a.publicIpv6, backendData: a.backendV6Data },
  createRevision,
})

/** The subnets of a lease, IPv4 first. */
export const subnetsOf = (lease: Lease): readonly Prefix[] =>
  [lease.ipv4?.subnet, lease.ipv6?.subnet].filter((p) => p !== undefined)

/** The address by which a lease is told to be a host's: that of IPv4, or of IPv6 where the lease has no IPv4 subnet. */
export const publisherOf = ({ ipv4, ipv6 }: Lease): Ip | undefined => (ipv4 ?? ipv6)?.publicIp

/** Whether a host with these addresses has published it: by IPv4 where both have that family, else by IPv6. */
export const isPublishedBy = (
  lease: Lease,
  { publicIp, publicIpv6 }: { readonly publicIp: IPv4 | undefined; readonly publicIpv6?: IPv6 | undefined },
): boolean =>
  publicIp !== undefined && lease.ipv4?.publicIp !== undefined
    ? lease.ipv4.publicIp === publicIp
    : publicIpv6 !== undefined && lease.ipv6?.publicIp === publicIpv6
