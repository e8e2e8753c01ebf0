// The peers a host may send to: every lease of the store, checked against the network, against this host's own links,
// and against each other. Says what changed, and why a lease is refused. Pure; time is passed in.
import type { Lease, SubnetKey } from '../model/lease.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import { NOWHERE, type Surroundings } from '../model/surroundings.ts'
import type { Graces } from './graces.ts'
import { hasSameContent, LeaseMemory } from './lease-memory.ts'
import { PeerJudge, type Standards } from './peer-judge.ts'
import { sharedAddresses } from './shared-address.ts'
import type { LeaseEvent } from './store.ts'

/** A peer that is new or different, or one that is gone. A new create revision alone is no difference. */
export type LeaseChange =
  | { readonly kind: 'put'; readonly lease: Lease }
  | { readonly kind: 'gone'; readonly key: SubnetKey }

export class LeaseTable {
  #standards: Standards
  #judge: PeerJudge
  readonly #memory: LeaseMemory
  readonly #peers = new Map<SubnetKey, Lease>()
  readonly #refused = new Map<SubnetKey, string>()
  readonly #unreadable = new Map<string, string>()
  /** Names of keys whose refusal may be another since it was last asked for. */
  #stirred = new Set<string>()

  constructor(config: NetworkConfig, own: Lease, graces: Graces, uniqueOf: Standards['uniqueOf']) {
    this.#standards = { config, own, surroundings: NOWHERE, uniqueOf }
    this.#judge = new PeerJudge(this.#standards)
    this.#memory = new LeaseMemory(graces)
  }

  /** All peers, each with the families it may be used for. */
  get peers(): ReadonlyMap<SubnetKey, Lease> {
    return this.#peers
  }

  /** What isn't used, wholly or in part, and why; by the key's name in the store. */
  get refused(): ReadonlyMap<string, string> {
    return new Map([...this.#unreadable, ...this.#refused])
  }

  /** Why one isn't used, wholly or in part. */
  refusalOf(key: string): string | undefined {
    return this.#refused.get(key as SubnetKey) ?? this.#unreadable.get(key)
  }

  /** The names whose refusal may be another since the last call. */
  takeStirred(): ReadonlySet<string> {
    const stirred = this.#stirred
    this.#stirred = new Set()
    return stirred
  }

  /** Peers that are used, but share their PublicIP with another: at most one of them can be right. */
  get doubtful(): ReadonlyMap<SubnetKey, string> {
    return sharedAddresses(this.#peers.values())
  }

  /** When `expire` is due: peers that the store hasn't got back by then go. */
  get deadlineMs(): number | undefined {
    return this.#memory.deadlineMs
  }

  /** How many peers of an ended history are waited for. */
  get awaited(): number {
    return this.#memory.awaited
  }

  apply(event: LeaseEvent, nowMs: number): LeaseChange[] {
    if (event.kind === 'put') this.#read(event.lease.key)
    else if (event.kind === 'delete') this.#read(event.subnet)
    else if (event.kind === 'snapshot') {
      for (const key of this.#unreadable.keys()) this.#stirred.add(key)
      this.#unreadable.clear()
    }
    const rejected = event.kind === 'snapshot' ? event.rejected : event.kind === 'rejected' ? [event] : []
    for (const { key, reason } of rejected) {
      this.#unreadable.set(key, reason)
      this.#stirred.add(key)
    }
    return this.#settle(this.#memory.apply(event, nowMs, (key) => this.#peers.has(key)))
  }

  /** Whether the store has a network config. While it has none, nothing of an ended history goes. */
  configIs(present: boolean, nowMs: number): void {
    this.#memory.configIs(present, nowMs)
  }

  /** To be called at `deadlineMs`. */
  expire(nowMs: number): LeaseChange[] {
    return this.#settle(this.#memory.expire(nowMs))
  }

  /** The network or our own lease is another now. */
  reconfigure(config: NetworkConfig, own: Lease): LeaseChange[] {
    return this.#judgeBy({ ...this.#standards, config, own })
  }

  /** What this host's links are connected to is another now. */
  surround(surroundings: Surroundings): LeaseChange[] {
    return this.#judgeBy({ ...this.#standards, surroundings })
  }

  #judgeBy(standards: Standards): LeaseChange[] {
    this.#standards = standards
    this.#judge = new PeerJudge(standards)
    return this.#settle(this.#memory.all.keys())
  }

  #settle(keys: Iterable<SubnetKey>): LeaseChange[] {
    const { all } = this.#memory
    const judged = this.#judge.hear([...keys].map((key) => [key, all.get(key)] as const))
    const changes: LeaseChange[] = []
    for (const key of judged) {
      const change = this.#decide(key)
      if (change !== undefined) changes.push(change)
    }
    return changes
  }

  /** Whatever there was under this key that couldn't be read is gone. */
  #read(key: SubnetKey): void {
    if (this.#unreadable.delete(key)) this.#stirred.add(key)
  }

  #decide(key: SubnetKey): LeaseChange | undefined {
    this.#stirred.add(key)
    const verdict = this.#judge.verdict(key)
    if (verdict === undefined || verdict.reasons.length === 0) this.#refused.delete(key)
    else this.#refused.set(key, verdict.reasons.join('; '))
    const before = this.#peers.get(key)
    const lease = verdict?.lease
    if (lease === undefined) return this.#peers.delete(key) ? { kind: 'gone', key } : undefined
    this.#peers.set(key, lease)
    return before !== undefined && hasSameContent(before, lease) ? undefined : { kind: 'put', lease }
  }
}
