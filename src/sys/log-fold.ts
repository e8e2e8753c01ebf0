// Folds messages that repeat: written once, then counted, and told again as a sum. A change back and forth of one
// thing (a store that fails, answers, fails) is no repeat. Pure: the caller has the clock.
import type { Entry } from './log-format.ts'

export interface Message extends Entry {
  /** What makes two messages of a file and level the same, where their text differs (a count, an address). */
  readonly key?: string | undefined
  /**
   * What it tells the state of. A message is news again once another one about the same thing came after it, so the
   * last line about a thing tells how it is.
   */
  readonly about?: string | undefined
}

interface Fold {
  readonly about: string | undefined
  readonly sinceMs: number
  lastMs: number
  last: Message
  count: number
}

/** How one thing has changed in this window, and by which message last. */
interface Subject {
  key: string
  sinceMs: number
  changes: number
}

/** Changes of one thing that are told one by one in a window; what is more is folded too. */
const MOST_CHANGES = 10

export class Folding {
  readonly #windowMs: number
  /** Messages of the last window, oldest first. */
  readonly #folds = new Map<string, Fold>()
  readonly #subjects = new Map<string, Subject>()

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** What to write now: the message, unless it is a repeat, behind the sum of what it puts an end to. */
  heed(message: Message, nowMs: number): Entry[] {
    const key = `${message.level} ${message.file} ${message.key ?? message.message}`
    const out = message.about === undefined ? [] : this.#change(message.about, key, nowMs)
    const fold = this.#folds.get(key)
    if (fold === undefined) {
      this.#folds.set(key, { about: message.about, sinceMs: nowMs, lastMs: nowMs, last: message, count: 0 })
      out.push(message)
    } else {
      fold.count++
      fold.last = message
      fold.lastMs = nowMs
    }
    return out
  }

  /** The thing is told by another message than the last time: both are news, unless that goes on and on. */
  #change(about: string, key: string, nowMs: number): Entry[] {
    const subject = this.#subjects.get(about)
    if (subject === undefined) {
      this.#subjects.set(about, { key, sinceMs: nowMs, changes: 0 })
      return []
    }
    if (subject.key === key) return []
    if (nowMs - subject.sinceMs >= this.#windowMs) {
      subject.sinceMs = nowMs
      subject.changes = 0
    }
    const former = subject.key
    subject.key = key
    if (++subject.changes > MOST_CHANGES) return []
    return [former, key].flatMap((each) => this.#end(each, nowMs))
  }

  #end(key: string, nowMs: number): Entry[] {
    const fold = this.#folds.get(key)
    this.#folds.delete(key)
    return fold === undefined || fold.count === 0 ? [] : [sumOf(fold, nowMs - fold.sinceMs)]
  }

  /** The sums of windows that are over. What had repeats is counted on. */
  expire(nowMs: number): Entry[] {
    const out: Entry[] = []
    for (const [key, fold] of this.#folds) {
      if (nowMs - fold.sinceMs < this.#windowMs) break
      // The others about the same thing with it, so that the last sum tells how it is.
      const together = fold.about === undefined ? [[key, fold] as const] : this.#of(fold.about)
      for (const [each, it] of together.toSorted(([, a], [, b]) => a.lastMs - b.lastMs)) {
        this.#folds.delete(each)
        if (it.count === 0) continue
        out.push(sumOf(it, nowMs - it.sinceMs))
        // Still going on, perhaps: count again, at the end of the line.
        this.#folds.set(each, { ...it, count: 0, sinceMs: nowMs })
      }
    }
    for (const [about, subject] of this.#subjects)
      if (!this.#folds.has(subject.key)) this.#subjects.delete(about)
    return out
  }

  #of(about: string): (readonly [string, Fold])[] {
    return [...this.#folds].filter(([, fold]) => fold.about === about)
  }

  /** When the next window is over; undefined while there is none. */
  get nextMs(): number | undefined {
    const [oldest] = this.#folds.values()
    return oldest && oldest.sinceMs + this.#windowMs
  }

  /** The sums of all windows; nothing is remembered. */
  flush(nowMs: number): Entry[] {
    const all = [...this.#folds.values()].filter((fold) => fold.count > 0)
    this.#folds.clear()
    this.#subjects.clear()
    return all.toSorted((a, b) => a.lastMs - b.lastMs).map((fold) => sumOf(fold, nowMs - fold.sinceMs))
  }
}

function sumOf({ last, count }: Fold, spanMs: number): Entry {
  const times = count === 1 ? 'once' : `${count} times`
  return {
    ...last,
    message: `${last.message} (… again ${times} in the last ${spanText(spanMs)})`,
    fields: { ...last.fields, repeats: count },
  }
}

function spanText(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds >= 55 && seconds <= 65) return 'minute'
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${seconds} s`
}
