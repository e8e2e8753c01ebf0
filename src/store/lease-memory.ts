// What the store holds of leases, and what it held until a moment ago: a peer that is missed is kept for a while, in
// case its host puts its lease again. Pure; time is passed in.
import { isSameJson, type Lease, type LeaseHalf, type SubnetKey } from '../model/lease.ts'
import type { Graces } from './graces.ts'
import type { LeaseEvent } from './store.ts'

export interface Remembered {
  readonly lease: Lease
  /** Not in the store any more. */
  readonly stale: boolean
}

export class LeaseMemory {
  readonly #graces: Graces
  #history: string | undefined
  #configPresent = true
  /** When stale leases of an ended history go. */
  #resetDeadlineMs: number | undefined
  /** Stale leases that were deleted, and when each goes. */
  readonly #going = new Map<SubnetKey, number>()
  /** Stale leases of an ended history. */
  readonly #awaited = new Set<SubnetKey>()
  readonly #all = new Map<SubnetKey, Remembered>()

  constructor(graces: Graces) {
    this.#graces = graces
  }

  get all(): ReadonlyMap<SubnetKey, Remembered> {
    return this.#all
  }

  /** When `expire` is due. */
  get deadlineMs(): number | undefined {
    let first = this.#resetDeadlineMs ?? Infinity
    for (const at of this.#going.values()) first = Math.min(first, at)
    return first === Infinity ? undefined : first
  }

  /** How many leases of an ended history are waited for. */
  get awaited(): number {
    return this.#resetDeadlineMs === undefined ? 0 : this.#awaited.size
  }

  /** The keys that mean something else now. Only leases that are `used` are kept when the store has them no more. */
  apply(event: LeaseEvent, nowMs: number, used: (key: SubnetKey) => boolean): SubnetKey[] {
    switch (event.kind) {
      case 'snapshot':
        return this.#snapshot(event, nowMs, used)
      case 'put': {
        const { lease } = event
        const changed = this.#set(lease.key, { lease, stale: false })
        this.#shortenWait()
        return changed ? [lease.key] : []
      }
      case 'delete': {
        const { missedMs, deletedMs } = this.#graces
        const changed = this.#dismiss(event.subnet, event.missed ? missedMs : deletedMs, nowMs, used)
        this.#shortenWait()
        return changed ? [event.subnet] : []
      }
      case 'rejected':
        // What can't be read says nothing about the lease that was there: it stays.
        return []
    }
  }

  /** Whether the store has a network config. While it has none, nothing of an ended history goes. */
  configIs(present: boolean, nowMs: number): void {
    if (present === this.#configPresent) return
    this.#configPresent = present
    this.#wait(nowMs)
  }

  /** To be called at `deadlineMs`; the keys that are gone. */
  expire(nowMs: number): SubnetKey[] {
    const gone = [...this.#going].filter(([, at]) => at <= nowMs).map(([key]) => key)
    if (this.#resetDeadlineMs !== undefined && nowMs >= this.#resetDeadlineMs) {
      this.#resetDeadlineMs = undefined
      gone.push(...this.#awaited)
    }
    for (const key of gone) this.#set(key, undefined)
    this.#shortenWait()
    return gone
  }

  #snapshot(
    event: LeaseEvent & { kind: 'snapshot' },
    nowMs: number,
    used: (key: SubnetKey) => boolean,
  ): SubnetKey[] {
    const ended = this.#history !== undefined && this.#history !== event.history
    this.#history = event.history
    const rejected = new Set(event.rejected.map(({ key }) => key))
    const present = new Set<string>(event.leases.map(({ key }) => key))
    const changed: SubnetKey[] = []
    for (const [key, entry] of this.#all) {
      if (present.has(key)) continue
      if (entry.stale && (!ended || this.#going.has(key))) continue
      const isChanged = ended
        ? this.#await(key, entry)
        : !rejected.has(key) && this.#dismiss(key, this.#graces.missedMs, nowMs, used)
      if (isChanged) changed.push(key)
    }
    for (const lease of event.leases)
      if (this.#set(lease.key, { lease, stale: false })) changed.push(lease.key)
    if (ended) this.#resetDeadlineMs = undefined
    this.#wait(nowMs)
    return changed
  }

  /** Begins the wait for leases of an ended history, unless it has begun; ends it when there are none. */
  #wait(nowMs: number): void {
    const waiting = this.#configPresent && this.#awaited.size > 0
    this.#resetDeadlineMs = waiting ? (this.#resetDeadlineMs ?? nowMs + this.#graces.resetMs) : undefined
  }

  /** Ends it when the last that was waited for is back or gone. */
  #shortenWait(): void {
    if (this.#resetDeadlineMs !== undefined) this.#wait(this.#resetDeadlineMs - this.#graces.resetMs)
  }

  #await(key: SubnetKey, entry: Remembered): boolean {
    const changed = this.#set(key, { ...entry, stale: true })
    this.#awaited.add(key)
    return changed
  }

  /** A lease that the store has no more: whether that changes anything. */
  #dismiss(key: SubnetKey, graceMs: number, nowMs: number, used: (key: SubnetKey) => boolean): boolean {
    const entry = this.#all.get(key)
    if (entry === undefined || graceMs <= 0 || !used(key)) return this.#set(key, undefined)
    const changed = this.#set(key, { ...entry, stale: true })
    this.#going.set(key, nowMs + graceMs)
    return changed
  }

  /** Whether it means something else now. */
  #set(key: SubnetKey, entry: Remembered | undefined): boolean {
    this.#going.delete(key)
    this.#awaited.delete(key)
    const before = this.#all.get(key)
    if (entry === undefined) return this.#all.delete(key)
    if (before !== undefined && before.stale === entry.stale && isSame(before.lease, entry.lease))
      return false
    this.#all.set(key, entry)
    return true
  }
}

const isSame = (a: Lease, b: Lease): boolean =>
  a === b || (a.createRevision === b.createRevision && hasSameContent(a, b))

/** Whether two leases say the same; when they were made is another matter. */
export const hasSameContent = (a: Lease, b: Lease): boolean =>
  a === b ||
  (a.key === b.key &&
    a.backendType === b.backendType &&
    isSameHalf(a.ipv4, b.ipv4) &&
    isSameHalf(a.ipv6, b.ipv6))

const isSameHalf = (a: LeaseHalf<string> | undefined, b: LeaseHalf<string> | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.subnet === b.subnet &&
    a.publicIp === b.publicIp &&
    isSameJson(a.backendData, b.backendData))
