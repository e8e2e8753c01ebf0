// How much time healing may take: bursts at once, less in the long run, so that a fight with another program over the
// same objects costs little. It never makes a heal wait for long.

const CAPACITY_MS = 2_000
const REFILL_MS_PER_S = 100
const LONGEST_WAIT_MS = 300

export class Budget {
  #left = CAPACITY_MS
  #at: number

  constructor(nowMs: number) {
    this.#at = nowMs
  }

  #refill(nowMs: number): void {
    this.#left = Math.min(CAPACITY_MS, this.#left + ((nowMs - this.#at) / 1000) * REFILL_MS_PER_S)
    this.#at = nowMs
  }

  /** How long to wait until there is some left again, for who has waited for so long already. */
  waitMs(waitedMs: number, nowMs: number): number {
    this.#refill(nowMs)
    const refillMs = (-this.#left / REFILL_MS_PER_S) * 1000
    return this.#left >= 0 ? 0 : Math.max(0, Math.min(LONGEST_WAIT_MS - waitedMs, refillMs))
  }

  spend(ms: number, nowMs: number): void {
    this.#refill(nowMs)
    this.#left = Math.max(-CAPACITY_MS, this.#left - ms)
  }
}
