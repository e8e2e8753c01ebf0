// A wait that ends by itself, sooner if told so, or by a signal.

export class Deadline implements Disposable {
  readonly #ended = Promise.withResolvers<void>()
  readonly #signal: AbortSignal
  readonly #timers: NodeJS.Timeout[] = []
  readonly end = (): void => this.#ended.resolve()

  constructor(timeoutMs: number, signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.end, { once: true })
    if (signal.aborted) this.end()
    this.within(timeoutMs)
  }

  /** Never rejects. */
  get reached(): Promise<void> {
    return this.#ended.promise
  }

  /** No later than so long from now. */
  within(timeoutMs: number): void {
    this.#timers.push(setTimeout(this.end, timeoutMs))
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#signal.removeEventListener('abort', this.end)
  }
}
