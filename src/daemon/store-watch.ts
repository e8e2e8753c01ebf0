// When each thing that is followed in the store was heard of last, which of them are lost, since when and why; and
// whether the leases have been lost for longer than a host may be called ready.
import type { StoreError } from '../store/store.ts'

/** What is watched all the time, by the store's own names. */
export const WATCHES = ['leases', 'config', 'own lease'] as const
export type Watch = (typeof WATCHES)[number]

export interface Lost {
  readonly sinceMs: number
  readonly error: StoreError
}

export interface StoreWatchOptions {
  /** So long the leases may be lost. */
  readonly graceMs: number
  /** Told once that they have been lost for so long, and once that they are heard of again. */
  readonly onLong: (lost: Lost | undefined) => void
}

/** Has a timer only while the leases are lost. Times are performance.now()'s. */
export class StoreWatch implements Disposable {
  readonly #options: StoreWatchOptions
  readonly #heard = new Map<string, number>()
  readonly #lost = new Map<string, Lost>()
  #timer: NodeJS.Timeout | undefined
  #isLong = false

  constructor(options: StoreWatchOptions) {
    this.#options = options
  }

  /** To be told what the store tells: `who` failed, or was heard of. */
  tell(who: string, error: StoreError | undefined): void {
    const nowMs = performance.now()
    if (error === undefined) {
      this.#heard.set(who, nowMs)
      this.#lost.delete(who)
    } else this.#lost.set(who, { sinceMs: this.#lost.get(who)?.sinceMs ?? nowMs, error })
    if (who === ('leases' satisfies Watch)) this.#arm()
  }

  #arm(): void {
    const lost = this.lost('leases')
    if (lost === undefined) {
      clearTimeout(this.#timer)
      this.#timer = undefined
      if (this.#isLong) this.#options.onLong(undefined)
      this.#isLong = false
      return
    }
    if (this.#timer !== undefined || this.#isLong) return
    this.#timer = setTimeout(() => this.#expire(), this.#options.graceMs)
    this.#timer.unref()
  }

  #expire(): void {
    this.#timer = undefined
    const lost = this.lost('leases')
    if (lost === undefined) return
    this.#isLong = true
    this.#options.onLong(lost)
  }

  lost(watch: Watch): Lost | undefined {
    return this.#lost.get(watch)
  }
  /** Whether the leases have been lost for longer than the grace. */
  get isLong(): boolean {
    return this.#isLong
  }
  get graceMs(): number {
    return this.#options.graceMs
  }
  /** How long ago the store told something of it, or showed that it would; undefined if it never did. */
  ageMs(watch: Watch): number | undefined {
    const heard = this.#heard.get(watch)
    return heard === undefined ? undefined : performance.now() - heard
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
