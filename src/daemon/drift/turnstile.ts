// Lets askers at something costly, one at a time: whoever asks gets an answer that was begun after he asked, shared with
// all who wait for it, and however many ask it takes a tenth of the time at most.
import { setTimeout as delay } from 'node:timers/promises'

/** The pause after an answer, in times of what it took. */
const REST = 9

export class Turnstile<T> {
  readonly #compute: () => Promise<T>
  /** Of those who wait for one that has not begun yet. */
  #next: Promise<T> | undefined
  #rested: Promise<unknown> = Promise.resolve()

  constructor(compute: () => Promise<T>) {
    this.#compute = compute
  }

  ask(): Promise<T> {
    return (this.#next ??= this.#begin())
  }

  async #begin(): Promise<T> {
    await this.#rested
    this.#next = undefined
    const started = performance.now()
    const computed = this.#compute()
    const over = () => delay(REST * (performance.now() - started), undefined, { ref: false })
    this.#rested = computed.then(over, over)
    return computed
  }
}
