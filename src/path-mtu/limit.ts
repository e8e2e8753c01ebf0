// What new pods and this host's own devices get when some path is smaller than the interface. One host behind a small
// path shrinks all others only if it stays so, and no longer than it does; its own route has its MTU at once. Pure.

export interface Patience {
  /** How long some path must be small before the limit falls, */
  readonly lowerMs: number
  /** and how long none must be as small as the limit before it rises. */
  readonly raiseMs: number
}

export const PATIENCE: Patience = { lowerMs: 5 * 60_000, raiseMs: 60_000 }

export class DeviceLimit {
  readonly #patience: Patience
  #bytes: number
  /** Since when the limit should be lower, or higher, and the value nearest to it that would have done since. */
  #pending: { readonly isLower: boolean; readonly sinceMs: number; bytes: number } | undefined

  /** `bytes`: the limit that another run left behind. */
  constructor(patience: Patience = PATIENCE, bytes?: number) {
    this.#patience = patience
    this.#bytes = bytes ?? Infinity
  }

  /** Of outer packets; undefined: what the interface has. */
  get bytes(): number | undefined {
    return this.#bytes === Infinity ? undefined : this.#bytes
  }

  /** How long nothing can change unless the least path does; Infinity: for ever. */
  waitMs(nowMs: number): number {
    return this.#pending === undefined ? Infinity : Math.max(0, this.#dueMs(this.#pending) - nowMs)
  }

  /** `least`: what the smallest path takes now; undefined: all take what the interface does. True if the limit is another. */
  look(least: number | undefined, nowMs: number): boolean {
    const now = least ?? Infinity
    if (now === this.#bytes) {
      this.#pending = undefined
      return false
    }
    const isLower = now < this.#bytes
    if (this.#pending?.isLower !== isLower) this.#pending = { isLower, sinceMs: nowMs, bytes: now }
    const pending = this.#pending
    pending.bytes = isLower ? Math.max(pending.bytes, now) : Math.min(pending.bytes, now)
    if (nowMs < this.#dueMs(pending)) return false
    this.#bytes = pending.bytes
    this.#pending = undefined
    // What has come closer since is waited for anew.
    this.look(least, nowMs)
    return true
  }

  #dueMs({ isLower, sinceMs }: { isLower: boolean; sinceMs: number }): number {
    return sinceMs + (isLower ? this.#patience.lowerMs : this.#patience.raiseMs)
  }
}
