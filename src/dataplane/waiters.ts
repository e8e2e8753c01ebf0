// Those who wait for something to come about that may do so again and again, each as long as it likes.

export class Waiters {
  #waiting: (() => void)[] = []

  /** Until the next `release`; rejects with the signal's reason on abort. */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const abort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    this.#waiting.push(resolve)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', abort)
      this.#waiting = this.#waiting.filter((waiter) => waiter !== resolve)
    }
  }

  /** All who wait now. */
  release(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting = []
  }
}
