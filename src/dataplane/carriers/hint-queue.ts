// Hints that wait to be taken by the reconciler.
import type { Hint } from '../carrier.ts'

/** Beyond this one hint to look at everything says the same. */
const MOST_WAITING = 20_000

export class HintQueue<T> {
  #waiting: Hint<T>[] = []
  #wake: (() => void) | undefined

  push(hint: Hint<T>): void {
    if (this.#waiting.length >= MOST_WAITING)
      this.#waiting = [{ kind: 'everything', reason: 'more hints than can wait' }]
    else this.#waiting.push(hint)
    this.#wake?.()
  }

  take(): readonly Hint<T>[] {
    if (this.#waiting.length === 0) return []
    const taken = this.#waiting
    this.#waiting = []
    return taken
  }

  /** True once something waits, false when `signal` has ended it. */
  async ready(signal: AbortSignal): Promise<boolean> {
    while (this.#waiting.length === 0) {
      if (signal.aborted) return false
      const { promise, resolve } = Promise.withResolvers<void>()
      const wake = () => resolve()
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
      await promise
      signal.removeEventListener('abort', wake)
      this.#wake = undefined
    }
    return !signal.aborted
  }
}
