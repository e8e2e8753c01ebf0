// Which leases make peers, and of which families; why others don't. Each family by itself, so that a bad half never
// takes the good one along. Pure.
import { bitsOf, FAMILIES, type Family, type Ip } from '../model/ip.ts'
import type { Lease, LeaseHalf, SubnetKey } from '../model/lease.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import { prefixOf } from '../model/prefix.ts'
import type { Surroundings } from '../model/surroundings.ts'
import type { Claim } from './claim-index.ts'
import { Claims } from './claims.ts'
import { Grounds } from './grounds.ts'
import type { Remembered } from './lease-memory.ts'

/** What leases are judged by. */
export interface Standards {
  readonly config: NetworkConfig
  readonly own: Lease
  readonly surroundings: Surroundings
  /** What of a lease's data must be no other host's, in words: `VtepMAC 02:42:00:00:00:07`. Undefined if nothing is. */
  readonly uniqueOf: (lease: Lease, family: Family) => string | undefined
}

export interface Verdict {
  /** The lease with the halves that may be used; undefined if none may. */
  readonly lease: Lease | undefined
  readonly reasons: readonly string[]
}

/** One family: what speaks against each half by itself, and what by others. */
class FamilyJudge {
  readonly family: Family
  readonly #standards: Standards
  readonly #grounds: Grounds
  readonly #claims = new Claims()
  readonly #objections = new Map<SubnetKey, string>()

  constructor(family: Family, standards: Standards, grounds: Grounds) {
    this.family = family
    this.#standards = standards
    this.#grounds = grounds
  }

  set(key: SubnetKey, entry: Remembered | undefined): void {
    const half = entry?.lease[this.family]
    const objection = half && this.#grounds.objection(half)
    if (objection === undefined) this.#objections.delete(key)
    else this.#objections.set(key, objection)
    const stands = entry !== undefined && half !== undefined && objection === undefined
    this.#claims.set(key, stands ? this.#claimOf(entry, half) : undefined)
  }

  #claimOf({ lease, stale }: Remembered, { subnet, publicIp }: LeaseHalf<Ip>): Claim {
    const { key, createRevision } = lease
    const inside = publicIp !== undefined && this.#grounds.holds(publicIp)
    const host = inside ? prefixOf(publicIp, bitsOf(this.family)) : undefined
    return {
      key,
      subnet,
      publicIp,
      host,
      unique: this.#standards.uniqueOf(lease, this.family),
      createRevision,
      stale,
    }
  }

  settle(): Iterable<SubnetKey> {
    return this.#claims.settle()
  }

  reasonAgainst(key: SubnetKey): string | undefined {
    return this.#objections.get(key) ?? this.#claims.reasonAgainst(key)
  }
}

export class PeerJudge {
  readonly #own: SubnetKey
  /** Of the families that the network has. */
  readonly #families: readonly FamilyJudge[]
  readonly #leases = new Map<SubnetKey, Lease>()

  constructor(standards: Standards) {
    const { config, own, surroundings } = standards
    this.#own = own.key
    this.#families = FAMILIES.flatMap((family) => {
      const range = config[family]
      return range === undefined
        ? []
        : new FamilyJudge(family, standards, new Grounds(range, own[family], surroundings))
    })
  }

  /** Takes what the store has of these keys now; the keys whose verdict may be another. */
  hear(entries: Iterable<readonly [SubnetKey, Remembered | undefined]>): Set<SubnetKey> {
    const judged = new Set<SubnetKey>()
    for (const [key, entry] of entries) {
      judged.add(key)
      // Our own lease is no peer, and in nobody's way beyond the grounds.
      const its = key === this.#own ? undefined : entry
      if (its === undefined) this.#leases.delete(key)
      else this.#leases.set(key, its.lease)
      for (const judge of this.#families) judge.set(key, its)
    }
    for (const judge of this.#families) for (const key of judge.settle()) judged.add(key)
    return judged
  }

  /** Undefined for a key that there is no lease of, and for our own. */
  verdict(key: SubnetKey): Verdict | undefined {
    const lease = this.#leases.get(key)
    if (lease === undefined) return undefined
    const reasons: string[] = []
    let { ipv4, ipv6 } = BARE
    for (const judge of this.#families) {
      // A family that this network hasn't got is nothing to complain about.
      if (lease[judge.family] === undefined) continue
      const reason = judge.reasonAgainst(key)
      if (reason !== undefined) reasons.push(reason)
      else if (judge.family === 'ipv4') ipv4 = lease.ipv4
      else ipv6 = lease.ipv6
    }
    if (ipv4 === undefined && ipv6 === undefined)
      return { lease: undefined, reasons: reasons.length > 0 ? reasons : [NO_FAMILY] }
    return { lease: ipv4 === lease.ipv4 && ipv6 === lease.ipv6 ? lease : { ...lease, ipv4, ipv6 }, reasons }
  }
}

const BARE: Pick<Lease, 'ipv4' | 'ipv6'> = { ipv4: undefined, ipv6: undefined }
const NO_FAMILY = 'it has no subnet of a family that this network uses'
