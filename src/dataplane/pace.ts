// How long a round waits for wishes that are still to come: not at all while few come, and where they keep coming each
// round takes many along, for it costs nearly the same. Pure; time is passed in.

/** From the start of a round to the next one's. */
const PACE_MS = 40
const MANY_A_SECOND = 100
/** Over so long wishes are counted. */
const WINDOW_MS = 500

export class Pace {
  #wishes = 0
  #sinceMs: number
  #isFast = false
  #beganMs = -Infinity

  constructor(nowMs: number) {
    this.#sinceMs = nowMs
  }

  /** Somebody wants something else. */
  wished(): void {
    this.#wishes++
  }

  /** A round begins. */
  began(nowMs: number): void {
    this.#beganMs = nowMs
    const lastedMs = nowMs - this.#sinceMs
    if (lastedMs < WINDOW_MS) return
    this.#isFast = this.#wishes * 1000 > MANY_A_SECOND * lastedMs
    this.#wishes = 0
    this.#sinceMs = nowMs
  }

  /** How long the next round is to wait; 0 or less: not any more. */
  waitMs(nowMs: number): number {
    return this.#isFast ? this.#beganMs + PACE_MS - nowMs : 0
  }
}
