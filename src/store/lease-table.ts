// The peers a host may send to: every lease of the store, checked against the network and against each other. Says
// what changed, and why a lease is refused. Pure; time is passed in.
import type { Ip } from '../model/ip.ts'
import { subnetsOf, type Lease, type LeaseHalf, type SubnetKey } from '../model/lease.ts'
import type { NetworkConfig, NetworkRange } from '../model/net-config.ts'
import { containsPrefix, overlaps } from '../model/prefix.ts'
import type { Graces } from './graces.ts'
import { PrefixIndex } from './prefix-index.ts'
import type { LeaseEvent } from './store.ts'

/** A peer that is new or different, or one that is gone. A new create revision alone is no difference. */
export type LeaseChange =
  | { readonly kind: 'put'; readonly lease: Lease }
  | { readonly kind: 'gone'; readonly key: SubnetKey }

interface Entry {
  readonly lease: Lease
  /** Not in the store any more: kept for a while, in case its host puts it again. */
  readonly stale: boolean
}
interface Verdict {
  /** The lease with the halves that may be used; undefined if none may. */
  readonly lease: Lease | undefined
  readonly reasons: readonly string[]
}

export class LeaseTable {
  #config: NetworkConfig
  #own: Lease
  readonly #graces: Graces
  #history: string | undefined
  #configPresent = true
  /** When stale peers of an ended history go. */
  #resetDeadlineMs: number | undefined
  /** Stale peers that were deleted, and when each goes. */
  readonly #going = new Map<SubnetKey, number>()
  readonly #all = new Map<SubnetKey, Entry>()
  readonly #claims = new PrefixIndex<SubnetKey>()
  readonly #peers = new Map<SubnetKey, Lease>()
  readonly #refused = new Map<SubnetKey, string>()
  readonly #unreadable = new Map<string, string>()

  constructor(config: NetworkConfig, own: Lease, graces: Graces) {
    this.#config = config
    this.#own = own
    this.#graces = graces
  }

  /** All peers, each with the families it may be used for. */
  get peers(): ReadonlyMap<SubnetKey, Lease> {
    return this.#peers
  }

  /** What isn't used, wholly or in part, and why; by the key's name in the store. */
  get refused(): ReadonlyMap<string, string> {
    return new Map([...this.#unreadable, ...this.#refused])
  }

  /** Peers that are used, but share their PublicIP with another: at most one of them can be right. */
  get doubtful(): ReadonlyMap<SubnetKey, string> {
    const holders = new Map<Ip, SubnetKey[]>()
    for (const { key, ipv4, ipv6 } of this.#peers.values())
      for (const ip of [ipv4?.publicIp, ipv6?.publicIp])
        if (ip !== undefined) holders.set(ip, [...(holders.get(ip) ?? []), key])
    const doubtful = new Map<SubnetKey, string>()
    for (const [ip, keys] of holders)
      for (const key of keys.length > 1 ? keys : [])
        doubtful.set(key, `PublicIP ${ip} is that of ${keys.filter((k) => k !== key).join(' and ')} too`)
    return doubtful
  }

  /** When `expire` is due: peers that the store hasn't got back by then go. */
  get deadlineMs(): number | undefined {
    let first = this.#resetDeadlineMs ?? Infinity
    for (const at of this.#going.values()) first = Math.min(first, at)
    return first === Infinity ? undefined : first
  }

  /** How many peers of an ended history are waited for. */
  get awaited(): number {
    return this.#resetDeadlineMs === undefined ? 0 : this.#ofEndedHistory().length
  }

  apply(event: LeaseEvent, nowMs: number): LeaseChange[] {
    switch (event.kind) {
      case 'snapshot':
        return this.#snapshot(event, nowMs)
      case 'put': {
        this.#unreadable.delete(event.lease.key)
        return this.#settled(this.#set(event.lease.key, { lease: event.lease, stale: false }))
      }
      case 'delete': {
        this.#unreadable.delete(event.subnet)
        const { missedMs, deletedMs } = this.#graces
        const goesMs = nowMs + (event.missed ? missedMs : deletedMs)
        return this.#settled(this.#dismiss(event.subnet, goesMs, nowMs))
      }
      case 'rejected': {
        // What can't be read says nothing about the lease that was there: it stays.
        this.#unreadable.set(event.key, event.reason)
        return []
      }
    }
  }

  /** Whether the store has a network config. While it has none, nothing of an ended history goes. */
  configIs(present: boolean, nowMs: number): void {
    if (present === this.#configPresent) return
    this.#configPresent = present
    this.#wait(nowMs)
  }

  /** To be called at `deadlineMs`. */
  expire(nowMs: number): LeaseChange[] {
    const due = [...this.#going].filter(([, at]) => at <= nowMs)
    const changes = due.flatMap(([key]) => this.#settled(this.#set(key, undefined)))
    if (this.#resetDeadlineMs === undefined || nowMs < this.#resetDeadlineMs) return changes
    this.#resetDeadlineMs = undefined
    for (const key of this.#ofEndedHistory()) this.#set(key, undefined)
    return [...changes, ...this.#judgeAll()]
  }

  /** The network or our own lease is another now. */
  reconfigure(config: NetworkConfig, own: Lease): LeaseChange[] {
    this.#config = config
    this.#own = own
    return this.#judgeAll()
  }

  #snapshot(event: LeaseEvent & { kind: 'snapshot' }, nowMs: number): LeaseChange[] {
    const ended = this.#history !== undefined && this.#history !== event.history
    this.#history = event.history
    const rejected = new Set(event.rejected.map(({ key }) => key))
    const present = new Set<string>(event.leases.map(({ key }) => key))
    for (const [key, entry] of this.#all) {
      if (present.has(key)) continue
      if (entry.stale && (!ended || this.#going.has(key))) continue
      if (ended) this.#set(key, { ...entry, stale: true })
      else if (!rejected.has(key)) this.#dismiss(key, nowMs + this.#graces.missedMs, nowMs)
    }
    // All are judged below: what each of them overlaps need not be asked.
    for (const lease of event.leases) this.#replace(lease.key, { lease, stale: false })
    this.#unreadable.clear()
    for (const { key, reason } of event.rejected) this.#unreadable.set(key, reason)
    if (ended) this.#resetDeadlineMs = undefined
    this.#wait(nowMs)
    return this.#judgeAll()
  }

  /** Begins the wait for peers of an ended history, unless it has begun; ends it when there are none. */
  #wait(nowMs: number): void {
    const waiting = this.#configPresent && this.#ofEndedHistory().length > 0
    this.#resetDeadlineMs = waiting ? (this.#resetDeadlineMs ?? nowMs + this.#graces.resetMs) : undefined
  }

  #ofEndedHistory(): SubnetKey[] {
    return [...this.#all].filter(([key, { stale }]) => stale && !this.#going.has(key)).map(([key]) => key)
  }

  /** A lease that the store has no more; one that was in use is kept until `goesMs`. */
  #dismiss(key: SubnetKey, goesMs: number, nowMs: number): Set<SubnetKey> {
    const entry = this.#all.get(key)
    if (entry === undefined || goesMs <= nowMs || !this.#peers.has(key)) return this.#set(key, undefined)
    const affected = this.#set(key, { ...entry, stale: true })
    this.#going.set(key, goesMs)
    return affected
  }

  /** Replaces what is known of a key; that key and all that its subnets, old and new, overlap. */
  #set(key: SubnetKey, entry: Entry | undefined): Set<SubnetKey> {
    const affected = new Set([key])
    for (const one of [this.#all.get(key), entry])
      for (const prefix of one === undefined ? [] : subnetsOf(one.lease))
        for (const other of this.#claims.overlapping(prefix)) affected.add(other)
    this.#replace(key, entry)
    return affected
  }

  #replace(key: SubnetKey, entry: Entry | undefined): void {
    this.#going.delete(key)
    const before = this.#all.get(key)
    for (const prefix of before === undefined ? [] : subnetsOf(before.lease)) this.#claims.remove(prefix, key)
    if (entry === undefined) this.#all.delete(key)
    else this.#all.set(key, entry)
    for (const prefix of entry === undefined ? [] : subnetsOf(entry.lease)) this.#claims.add(prefix, key)
  }

  /** Judges what one event affected: that key alone, as a rule. */
  #settled(affected: ReadonlySet<SubnetKey>): LeaseChange[] {
    if (this.#resetDeadlineMs !== undefined) this.#wait(this.#resetDeadlineMs - this.#graces.resetMs)
    if (affected.size > 1) return this.#judgeAll()
    return [...affected].flatMap((key) => {
      const entry = this.#all.get(key)
      return this.#decide(key, entry && this.#judge(entry.lease, new PrefixIndex()))
    })
  }

  /** Judges everything: of two that overlap, what is in the store goes before what was, then the earlier. */
  #judgeAll(): LeaseChange[] {
    const order = [...this.#all.values()].sort(
      (a, b) =>
        Number(a.stale) - Number(b.stale) ||
        Number(a.lease.createRevision - b.lease.createRevision) ||
        (a.lease.key < b.lease.key ? -1 : 1),
    )
    const placed = new PrefixIndex<SubnetKey>()
    const changes: LeaseChange[] = []
    for (const { lease } of order) {
      const verdict = this.#judge(lease, placed)
      for (const prefix of verdict?.lease ? subnetsOf(verdict.lease) : []) placed.add(prefix, lease.key)
      changes.push(...this.#decide(lease.key, verdict))
    }
    for (const key of [...this.#peers.keys(), ...this.#refused.keys()])
      if (!this.#all.has(key)) changes.push(...this.#decide(key, undefined))
    return changes
  }

  /** `placed`: subnets of the leases that go before this one. Undefined for our own lease, which is no peer. */
  #judge(lease: Lease, placed: PrefixIndex<SubnetKey>): Verdict | undefined {
    if (lease.key === this.#own.key) return undefined
    const own = this.#own.ipv4?.publicIp ?? this.#own.ipv6?.publicIp
    const its = this.#own.ipv4?.publicIp === undefined ? lease.ipv6?.publicIp : lease.ipv4?.publicIp
    if (own !== undefined && its === own)
      return { lease: undefined, reasons: [`PublicIP ${own} is this host's own`] }
    const reasons: string[] = []
    const usable = <I>(half: LeaseHalf<I> | undefined, range: NetworkRange | undefined) => {
      // A family that this network hasn't got is nothing to complain about.
      if (half === undefined || range === undefined) return undefined
      const reason = this.#objection(half, range, placed)
      if (reason !== undefined) reasons.push(reason)
      return reason === undefined ? half : undefined
    }
    const ipv4 = usable(lease.ipv4, this.#config.ipv4)
    const ipv6 = usable(lease.ipv6, this.#config.ipv6)
    if (ipv4 === undefined && ipv6 === undefined)
      return { lease: undefined, reasons: reasons.length > 0 ? reasons : [NO_FAMILY] }
    return { lease: ipv4 === lease.ipv4 && ipv6 === lease.ipv6 ? lease : { ...lease, ipv4, ipv6 }, reasons }
  }

  #objection<I>(
    { subnet }: LeaseHalf<I>,
    { network }: NetworkRange,
    placed: PrefixIndex<SubnetKey>,
  ): string | undefined {
    if (!containsPrefix(network, subnet)) return `${subnet} lies outside the network ${network}`
    const ours = subnetsOf(this.#own).find((prefix) => overlaps(prefix, subnet))
    if (ours !== undefined) return `${subnet} overlaps this host's own subnet ${ours}`
    const [earlier] = placed.overlapping(subnet)
    return earlier === undefined ? undefined : `${subnet} overlaps the older lease ${earlier}`
  }

  #decide(key: SubnetKey, verdict: Verdict | undefined): LeaseChange[] {
    if (verdict === undefined || verdict.reasons.length === 0) this.#refused.delete(key)
    else this.#refused.set(key, verdict.reasons.join('; '))
    const before = this.#peers.get(key)
    const lease = verdict?.lease
    if (lease === undefined) return this.#peers.delete(key) ? [{ kind: 'gone', key }] : []
    this.#peers.set(key, lease)
    return before !== undefined && sameContent(before, lease) ? [] : [{ kind: 'put', lease }]
  }
}

const NO_FAMILY = 'it has no subnet of a family that this network uses'

const contentOf = ({ key, backendType, ipv4, ipv6 }: Lease): string =>
  JSON.stringify([key, backendType, ipv4 ?? null, ipv6 ?? null])
const sameContent = (a: Lease, b: Lease): boolean => a === b || contentOf(a) === contentOf(b)
