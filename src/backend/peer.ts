// A peer's lease, family by family, each half checked: what every back end asks of it before it programs anything.
import { FAMILIES, ipv4ToNumber, isIPv4, type Family, type Ip } from '../model/ip.ts'
import type { KernelObject } from '../model/kernel.ts'
import type { Json, Lease } from '../model/lease.ts'
import { overlaps, type Prefix } from '../model/prefix.ts'
import type { Reach, Refusal, Self, SelfHalf } from './backend.ts'

export const NAME: Readonly<Record<Family, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' }

/** The families that this host uses, IPv4 first. */
export const familiesOf = (self: Self): readonly Family[] =>
  FAMILIES.filter((family) => self[family] !== undefined)

/** One family of a peer that can be reached by it, as far as that doesn't depend on the back end. */
export interface PeerHalf {
  readonly family: Family
  readonly subnet: Prefix
  /** Where the peer takes this half's traffic; never one of our own addresses. */
  readonly publicIp: Ip
  /** The back end's own, as the peer published it: anything. */
  readonly data: Json | undefined
}

/**
 * Asks `way` for the objects of each family that this host and the peer have in common, or for a sentence about why
 * there is no way; a family that fails leaves the other alone. A peer must run `type`.
 */
export function reachEachFamily(
  peer: Lease,
  self: Self,
  type: string,
  way: (half: PeerHalf) => readonly KernelObject[] | string,
): Reach {
  const objects: KernelObject[] = []
  let refusals: Refusal[] | undefined
  for (const family of FAMILIES) {
    const own = self[family]
    if (own === undefined) continue
    const half = checkedHalf(peer, family, self, own, type)
    const found = typeof half === 'string' ? half : way(half)
    if (typeof found === 'string') (refusals ??= []).push({ family, reason: found })
    else objects.push(...found)
  }
  return { objects, refusals: refusals ?? NONE }
}
const NONE: readonly Refusal[] = []

function checkedHalf(
  peer: Lease,
  family: Family,
  self: Self,
  { address, publicIp: ourPublicIp }: SelfHalf,
  type: string,
): PeerHalf | string {
  if (peer.backendType !== type)
    return peer.backendType === ''
      ? `it publishes no back end type, ours is ${type}: every host of a network must run the same one`
      : `it runs the back end ${peer.backendType}, ours is ${type}: every host of a network must run the same one`
  const half = peer[family]
  if (half === undefined) return `its lease has no ${NAME[family]} subnet`
  const { subnet, publicIp, backendData } = half
  if (publicIp === undefined) return `its lease has no ${NAME[family]} public address`
  if (!isUnicast(publicIp)) return `its public address ${publicIp} is no host's address`
  if (publicIp === ourPublicIp || publicIp === address)
    return `it claims our own address ${publicIp}: two hosts share it, or an old lease of this host is left; give each host its own address`
  for (const own of self.subnets)
    if (overlaps(own, subnet))
      return `its subnet ${subnet} overlaps ours, ${own}: remove the wrong lease from the store`
  return { family, subnet, publicIp, data: backendData }
}

/** IPv4: neither 0/8 nor loopback nor multicast and above. IPv6: neither `::` nor loopback, multicast or mapped IPv4. */
function isUnicast(ip: Ip): boolean {
  if (!isIPv4(ip)) return !/^(?:::1?$|::ffff:|ff)/.test(ip)
  const first = ipv4ToNumber(ip) >>> 24
  return first !== 0 && first !== 127 && first < 224
}
