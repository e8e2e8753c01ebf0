// What halves of leases claim for themselves, by what can't stand beside it: a subnet that overlaps, another host's
// VTEP MAC, a host's address in a subnet of pods. Of one family. Pure.
import type { Ip } from '../model/ip.ts'
import type { SubnetKey } from '../model/lease.ts'
import { containsPrefix, overlaps, type Prefix } from '../model/prefix.ts'
import { PrefixIndex } from './prefix-index.ts'

/** One half of a lease. */
export interface Claim {
  readonly key: SubnetKey
  readonly subnet: Prefix
  readonly publicIp: Ip | undefined
  /** `publicIp` as a prefix if it lies in the pod network; else no subnet can hold it. */
  readonly host: Prefix | undefined
  /** What must be no other host's, in words: `VtepMAC 02:42:00:00:00:07`. */
  readonly unique: string | undefined
  readonly createRevision: bigint
  /** Not in the store any more: it goes after all that is. */
  readonly stale: boolean
}

/** Which of two claimants stays. Never equal for two keys. */
export const goesBefore = (a: Claim, b: Claim): boolean =>
  a.stale !== b.stale
    ? b.stale
    : a.createRevision !== b.createRevision
      ? a.createRevision < b.createRevision
      : a.key < b.key

/** Why a claim can't stand beside one that goes before it, as it goes on after the lease's name. */
export function rivalry(claim: Claim, earlier: Claim): string {
  const { subnet, publicIp, host, unique } = claim
  const other = `the older lease ${earlier.key}`
  if (overlaps(subnet, earlier.subnet)) return `${subnet} overlaps ${other}`
  if (unique !== undefined && unique === earlier.unique)
    return `its ${unique} is that of ${other}, another host (${earlier.publicIp ?? 'no address'}): one of them is a copy of the other; delete the flannel device on one and restart flanneld there`
  return host !== undefined && containsPrefix(earlier.subnet, host)
    ? `its PublicIP ${publicIp} lies in the subnet of ${other}`
    : `${subnet} has ${earlier.publicIp} in it, the PublicIP of ${other}`
}

/** Keys by the address of the host that they are of. */
type Holders = Map<Ip | undefined, Set<SubnetKey>>

export class ClaimIndex {
  readonly #subnets = new PrefixIndex<SubnetKey>()
  readonly #hosts = new PrefixIndex<SubnetKey>()
  /** By what must be one host's alone. As a rule it is: only more of one cost a Map. */
  readonly #unique = new Map<string, Claim | Holders>()

  add(claim: Claim): void {
    const { key, subnet, host, unique } = claim
    this.#subnets.add(subnet, key)
    if (host !== undefined) this.#hosts.add(host, key)
    if (unique === undefined) return
    const before = this.#unique.get(unique)
    if (before === undefined) this.#unique.set(unique, claim)
    else {
      const holders = before instanceof Map ? before : hold(new Map(), before)
      this.#unique.set(unique, hold(holders, claim))
    }
  }

  remove({ key, subnet, host, unique, publicIp }: Claim): void {
    this.#subnets.remove(subnet, key)
    if (host !== undefined) this.#hosts.remove(host, key)
    const holders = unique === undefined ? undefined : this.#unique.get(unique)
    if (unique === undefined || holders === undefined) return
    if (holders instanceof Map) {
      const keys = holders.get(publicIp)
      if (keys?.delete(key) && keys.size === 0) holders.delete(publicIp)
      if (holders.size > 0) return
    }
    this.#unique.delete(unique)
  }

  /** The keys of all that can't stand beside `claim`, which isn't in this index itself; some twice. */
  rivals({ subnet, host, unique, publicIp }: Claim): readonly SubnetKey[] {
    const [subnets, hosts] = [this.#subnets.overlapping(subnet), this.#hosts.overlapping(subnet)]
    const found = subnets.length + hosts.length === 0 ? [] : [...subnets, ...hosts]
    if (host !== undefined) found.push(...this.#subnets.overlapping(host))
    // Two leases of one host are no rivals: the same address and MAC, and no entry of the kernel differs.
    const holders = unique === undefined ? undefined : this.#unique.get(unique)
    if (holders instanceof Map) {
      for (const [ip, keys] of holders) if (ip !== publicIp) found.push(...keys)
    } else if (holders !== undefined && holders.publicIp !== publicIp) found.push(holders.key)
    return found
  }
}

function hold(holders: Holders, { key, publicIp }: Claim): Holders {
  const keys = holders.get(publicIp)
  if (keys === undefined) holders.set(publicIp, new Set([key]))
  else keys.add(key)
  return holders
}
