// Which path is looked at next, and when. New ones soon, a few at a time; small ones again and again, for they may have
// grown; the others seldom, for what hangs is noticed by its own packets. However many there are, the pace stays. Pure.

export interface Pace {
  /** New paths at once, and then a second: where there are thousands, traffic tells which of them matter. */
  readonly freshBurst: number
  readonly freshPerSecond: number
  /** From one look at a path that is smaller than the interface to the next. */
  readonly smallMs: number
  /** From one look at any other path to the next. */
  readonly usualMs: number
  /** However many there are of either sort, looks at small ones come no faster than that, and at others. */
  readonly smallLeastMs: number
  readonly usualLeastMs: number
}

export const PACE: Pace = {
  freshBurst: 32,
  freshPerSecond: 1 / 120,
  smallMs: 30_000,
  usualMs: 15 * 60_000,
  smallLeastMs: 10_000,
  usualLeastMs: 120_000,
}

export class Agenda<P> {
  readonly #pace: Pace
  readonly #random: () => number
  readonly #fresh = new Set<P>()
  /** By when they are due; nearly in that order. */
  readonly #small = new Map<P, number>()
  readonly #usual = new Map<P, number>()
  #tokens: number
  #tokensAtMs: number

  constructor(pace: Pace, nowMs: number, random: () => number = Math.random) {
    this.#pace = pace
    this.#random = random
    this.#tokens = pace.freshBurst
    this.#tokensAtMs = nowMs
  }

  get hasFresh(): boolean {
    return this.#fresh.size > 0
  }

  fresh(path: P): void {
    this.remove(path)
    this.#fresh.add(path)
  }

  /** It was looked at. */
  looked(path: P, isSmall: boolean, nowMs: number): void {
    this.remove(path)
    const { smallMs, smallLeastMs, usualMs, usualLeastMs } = this.#pace
    const [queue, periodMs, leastMs] = isSmall
      ? [this.#small, smallMs, smallLeastMs]
      : [this.#usual, usualMs, usualLeastMs]
    // Hosts that began together don't stay together.
    const spread = 0.9 + 0.2 * this.#random()
    queue.set(path, nowMs + Math.max(periodMs, queue.size * leastMs) * spread)
  }

  remove(path: P): void {
    this.#fresh.delete(path)
    this.#small.delete(path)
    this.#usual.delete(path)
  }

  /** The path to look at now, which is taken off; else how long there is none (Infinity: until there is a new one). */
  next(nowMs: number): { readonly path: P } | { readonly waitMs: number } {
    const [fresh] = this.#fresh
    if (fresh !== undefined && this.#takeToken(nowMs)) {
      this.#fresh.delete(fresh)
      return { path: fresh }
    }
    let waitMs = fresh === undefined ? Infinity : 1000 / this.#pace.freshPerSecond
    for (const queue of [this.#small, this.#usual]) {
      const [first] = queue
      if (first === undefined) continue
      const [path, dueMs] = first
      if (dueMs <= nowMs) {
        queue.delete(path)
        return { path }
      }
      waitMs = Math.min(waitMs, dueMs - nowMs)
    }
    return { waitMs }
  }

  #takeToken(nowMs: number): boolean {
    const { freshBurst, freshPerSecond } = this.#pace
    const grown = ((nowMs - this.#tokensAtMs) / 1000) * freshPerSecond
    this.#tokens = Math.min(freshBurst, this.#tokens + grown)
    this.#tokensAtMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
