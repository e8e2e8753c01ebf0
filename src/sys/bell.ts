// Wakes one waiter: rung at any time, heard once.

export class Bell {
  #rung = false
  #wake: (() => void) | undefined

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Returns when rung (also if it was before), after `atMostMs` (Infinity: never), or when `signal` aborts. */
  async wait(atMostMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const wake = () => resolve()
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
      const timer = atMostMs === Infinity ? undefined : setTimeout(wake, atMostMs)
      await promise
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
      this.#wake = undefined
    }
    this.#rung = false
  }
}
