// Waiting that ends with a signal and leaves no listener behind.
import { setTimeout as delay } from 'node:timers/promises'

/** The promise, or the signal's reason if that comes first. The promise goes on by itself. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Growing pauses between attempts, each cut by chance to between half and all of it, so that hosts fall out of step. */
export class Backoff {
  readonly #firstMs: number
  readonly #maxMs: number
  readonly #growth: number
  #nextMs: number

  /** `growth`: with 1.25, no pause is longer than half of all before it, and the first. */
  constructor(firstMs: number, maxMs: number, growth = 2) {
    this.#firstMs = firstMs
    this.#maxMs = maxMs
    this.#growth = growth
    this.#nextMs = firstMs
  }

  async pause(signal: AbortSignal): Promise<void> {
    const ms = this.#nextMs * (0.5 + Math.random() / 2)
    this.#nextMs = Math.min(this.#nextMs * this.#growth, this.#maxMs)
    try {
      await delay(ms, undefined, { signal })
    } catch {
      // It throws an AbortError of its own; ours says why.
      signal.throwIfAborted()
    }
  }

  reset(): void {
    this.#nextMs = this.#firstMs
  }
}

/** Turns to do something: the first at once, the next ones later and later, until none was wanted for a while. */
export class Pace {
  readonly #backoff: Backoff
  readonly #forgetMs: number
  #doneAt = -Infinity

  /** `forgetMs`: how long after the last turn the next one is as good as the first. */
  constructor(firstMs: number, maxMs: number, forgetMs: number) {
    this.#backoff = new Backoff(firstMs, maxMs)
    this.#forgetMs = forgetMs
  }

  async turn(signal: AbortSignal): Promise<void> {
    if (performance.now() - this.#doneAt > this.#forgetMs) this.#backoff.reset()
    else await this.#backoff.pause(signal)
  }

  done(): void {
    this.#doneAt = performance.now()
  }
}
