// Hints that wait for the reconciler: taken without waiting, or streamed as they come.
import type { Hint } from '../carrier.ts'

/** Beyond this one hint to look at everything says the same. */
const MOST_WAITING = 20_000

export class HintQueue<T> {
  #waiting: Hint<T>[] = []
  #wake: (() => void) | undefined
  #failure: unknown

  push(hint: Hint<T>): void {
    if (this.#waiting.length >= MOST_WAITING)
      this.#waiting = [{ kind: 'everything', reason: 'more hints than can wait' }]
    else this.#waiting.push(hint)
    this.#wake?.()
  }

  /** Ends the stream with an error: nothing will be heard any more. */
  fail(error: unknown): void {
    this.#failure = error
    this.#wake?.()
  }

  take(): readonly Hint<T>[] {
    if (this.#waiting.length === 0) return []
    const taken = this.#waiting
    this.#waiting = []
    return taken
  }

  async *stream(signal: AbortSignal): AsyncGenerator<Hint<T>, void, undefined> {
    while (!signal.aborted) {
      yield* this.take()
      if (this.#waiting.length > 0) continue
      if (this.#failure !== undefined) throw this.#failure
      const { promise, resolve } = Promise.withResolvers<void>()
      const wake = () => resolve()
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
      if (!signal.aborted) await promise
      signal.removeEventListener('abort', wake)
      this.#wake = undefined
    }
  }
}
