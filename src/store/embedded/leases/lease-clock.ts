// When leases run out: one timer, set to the next expiry.

/** setTimeout holds 31 bits of milliseconds; a later expiry is looked at again on the way. */
const MAX_TIMER_MS = 2 ** 31 - 1
/** A timer this late means that the process was stopped, and with it every holder's chance to be heard. */
const STOPPED_MS = 2000

interface Running {
  readonly ttlSeconds: bigint
  deadlineMs: number
}

export class LeaseClock implements Disposable {
  readonly #leases = new Map<bigint, Running>()
  readonly #expired: (ids: readonly bigint[]) => void
  #timer: NodeJS.Timeout | undefined
  #timerDueMs = Infinity

  /** `expired` hears of a lease once; it's no longer on the clock then. */
  constructor(expired: (ids: readonly bigint[]) => void) {
    this.#expired = expired
  }

  /** Without a renewal it expires after `inSeconds`. */
  start(id: bigint, ttlSeconds: bigint, inSeconds = ttlSeconds): void {
    const lease = { ttlSeconds, deadlineMs: deadline(inSeconds) }
    this.#leases.set(id, lease)
    if (lease.deadlineMs < this.#timerDueMs) this.#arm(lease.deadlineMs)
  }

  stop(id: bigint): void {
    this.#leases.delete(id)
    if (this.#leases.size === 0) this.#disarm()
  }

  /** Begins the lease's time anew; its length in seconds, or undefined when it isn't running. */
  renew(id: bigint): bigint | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    lease.deadlineMs = deadline(lease.ttlSeconds)
    return lease.ttlSeconds
  }

  /** Whole seconds left, and the full length; undefined when the lease isn't running. */
  look(id: bigint): { remainingSeconds: bigint; ttlSeconds: bigint } | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    const remainingMs = Math.max(0, lease.deadlineMs - performance.now())
    return { remainingSeconds: BigInt(Math.floor(remainingMs / 1000)), ttlSeconds: lease.ttlSeconds }
  }

  /** Ids of running leases, the next to expire first. */
  ids(): bigint[] {
    return [...this.#leases].toSorted(([, a], [, b]) => a.deadlineMs - b.deadlineMs).map(([id]) => id)
  }

  [Symbol.dispose](): void {
    this.#leases.clear()
    this.#disarm()
  }

  #arm(dueMs: number): void {
    clearTimeout(this.#timer)
    this.#timerDueMs = dueMs
    const waitMs = Math.min(Math.max(0, Math.ceil(dueMs - performance.now())), MAX_TIMER_MS)
    const wakeMs = performance.now() + waitMs
    this.#timer = setTimeout(() => this.#wake(wakeMs), waitMs)
  }

  #disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerDueMs = Infinity
  }

  #wake(plannedMs: number): void {
    const now = performance.now()
    if (now - plannedMs > STOPPED_MS) {
      for (const lease of this.#leases.values()) lease.deadlineMs = deadline(lease.ttlSeconds)
    }
    const expired: bigint[] = []
    let nextMs = Infinity
    for (const [id, lease] of this.#leases) {
      if (lease.deadlineMs <= now) expired.push(id)
      else nextMs = Math.min(nextMs, lease.deadlineMs)
    }
    for (const id of expired) this.#leases.delete(id)
    this.#disarm()
    if (nextMs < Infinity) this.#arm(nextMs)
    if (expired.length > 0) this.#expired(expired)
  }
}

function deadline(seconds: bigint): number {
  return performance.now() + Number(seconds) * 1000
}
