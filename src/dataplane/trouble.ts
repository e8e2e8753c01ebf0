// Objects of one kind that could not be put or removed: failed ones with the time of their next try, blocked ones with
// what they wait for. No object waits for another one's trouble.
import { pauseMsAfter } from './pause.ts'

interface Entry {
  readonly reason: string
  readonly tries: number
  /** By performance.now(); undefined where it is blocked. */
  readonly nextTryMs: number | undefined
  readonly on: string | undefined
}

export class Trouble {
  readonly #entries = new Map<string, Entry>()
  readonly #waiting = new Map<string, Set<string>>()
  #failing = 0
  #news: { readonly key: string; readonly reason: string }[] = []

  get size(): number {
    return this.#entries.size
  }
  get failing(): number {
    return this.#failing
  }
  get blocked(): number {
    return this.#entries.size - this.#failing
  }
  has(key: string): boolean {
    return this.#entries.has(key)
  }
  /** Whether it waits for something else. */
  waits(key: string): boolean {
    return this.#entries.get(key)?.on !== undefined
  }
  entries(): IterableIterator<[string, Entry]> {
    return this.#entries.entries()
  }

  /** Another try failed: the pause before the next one doubles, up to half a minute. One before its time counts for none. */
  failed(key: string, reason: string, nowMs: number): void {
    const before = this.#entries.get(key)
    const dueMs = before?.nextTryMs ?? nowMs
    const isEarly = nowMs < dueMs
    const tries = (before?.tries ?? 0) + (isEarly ? 0 : 1)
    this.clear(key)
    const nextTryMs = isEarly ? dueMs : nowMs + pauseMsAfter(tries)
    this.#entries.set(key, { reason, tries, nextTryMs, on: undefined })
    this.#failing++
    if (before === undefined || before.tries === 0) this.#news.push({ key, reason })
  }

  /** First failures since the last call. */
  takeNews(): readonly { readonly key: string; readonly reason: string }[] {
    const news = this.#news
    this.#news = []
    return news
  }

  isBlocked(key: string, on: string, reason: string): void {
    this.clear(key)
    this.#entries.set(key, { reason, tries: 0, nextTryMs: undefined, on })
    const keys = this.#waiting.get(on)
    if (keys === undefined) this.#waiting.set(on, new Set([key]))
    else keys.add(key)
  }

  clear(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    if (entry.on === undefined) this.#failing--
    else {
      const keys = this.#waiting.get(entry.on)
      keys?.delete(key)
      if (keys?.size === 0) this.#waiting.delete(entry.on)
    }
  }

  /** Keys whose next try is due. */
  due(nowMs: number): string[] {
    if (this.#failing === 0) return []
    return [...this.#entries]
      .filter(([, entry]) => entry.nextTryMs !== undefined && entry.nextTryMs <= nowMs)
      .map(([key]) => key)
  }

  blockedKeys(): string[] {
    return [...this.#waiting.values()].flatMap((keys) => [...keys])
  }

  /** Keys that waited for `on`, which has been put or has changed. */
  freed(on: string): readonly string[] {
    return [...(this.#waiting.get(on) ?? [])]
  }

  /** When the next try is due, by performance.now(). */
  nextTryMs(): number | undefined {
    if (this.#failing === 0) return undefined
    let next = Infinity
    for (const entry of this.#entries.values())
      if (entry.nextTryMs !== undefined) next = Math.min(next, entry.nextTryMs)
    return next
  }
}
