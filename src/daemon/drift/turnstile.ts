// Lets askers at something costly, one at a time: whoever asks gets an answer that was begun after he asked, shared with
// all who wait for it, and however many ask it takes about a tenth of a core.
import { setTimeout as delay } from 'node:timers/promises'

/** The pause after an answer, in times of the processor time that it took; people wait for the next one. */
const REST = 9
const LONGEST_REST_MS = 2_000

export class Turnstile<T> {
  readonly #compute: () => Promise<T>
  readonly #restMs: (spent: NodeJS.CpuUsage) => number
  /** Of those who wait for one that has not begun yet. */
  #next: Promise<T> | undefined
  #rested: Promise<unknown> = Promise.resolve()

  constructor(compute: () => Promise<T>, rest = restMs) {
    this.#compute = compute
    this.#restMs = rest
  }

  /** Throws the signal's reason to who has left; the others get their answer. */
  async ask(signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    const answer = (this.#next ??= this.#begin())
    if (signal === undefined) return answer
    const left = Promise.withResolvers<never>()
    const leave = () => left.reject(signal.reason as Error)
    signal.addEventListener('abort', leave)
    try {
      return await Promise.race([answer, left.promise])
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  async #begin(): Promise<T> {
    await this.#rested
    this.#next = undefined
    const before = process.cpuUsage()
    const computed = this.#compute()
    const over = () => delay(this.#restMs(process.cpuUsage(before)), undefined, { ref: false })
    this.#rested = computed.then(over, over)
    return computed
  }
}

export const restMs = ({ user, system }: NodeJS.CpuUsage): number =>
  Math.min((REST * (user + system)) / 1000, LONGEST_REST_MS)
