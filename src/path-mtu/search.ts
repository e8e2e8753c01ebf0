// Finds the largest packet that a path takes, in bursts of probes of several sizes at once: an answer proves its size
// and all below, silence proves little, so each size is tried again before it counts as too large. Pure; in the terms of
// RFC 8899 §5: the first burst is the base, bursts in between are the search, the last one is its completion.

/** MTUs that are met on real paths: link types, and what tunnels leave of 1500 bytes. In ascending order. */
const PLATEAUS = [
  602, 800, 1006, 1100, 1200, 1280, 1300, 1320, 1340, 1350, 1360, 1370, 1380, 1390, 1400, 1412, 1420, 1430,
  1440, 1450, 1460, 1472, 1480, 1492, 1500, 2002, 4000, 4352, 8000, 8500, 8950, 9000,
] as const
/** How often a size must go unanswered to count as too large, beside one that is answered. */
const TRIES = 2
/** The largest size goes with each burst; it must have failed so often before a smaller one is told. */
const TOP_TRIES = 4
/** Bursts without any answer before nothing can be told. */
const SILENT_BURSTS = 3
/** Into how many parts a burst divides what is between a size that passes and one that doesn't. */
const PARTS = 16

export interface SearchRange {
  /** The largest size to ask for: what the interface carries, or what was known to pass. */
  readonly topBytes: number
  /** A size that any path takes. */
  readonly leastBytes: number
  /** Sizes that may well be the answer: sent with the first burst. */
  readonly hints: readonly number[]
}

export type Step =
  /** Send one packet of each size, hear answers for a while, then ask for the next step. */
  | { readonly kind: 'send'; readonly sizes: readonly number[] }
  | { readonly kind: 'found'; readonly bytes: number }
  /** Nobody answers, or no longer: nothing is known. */
  | { readonly kind: 'silent' }

export class PathSearch {
  readonly #range: SearchRange
  readonly #tries = new Map<number, number>()
  #bursts = 0
  /** Sizes between have been sent. */
  #hasSearched = false
  #lastsAsked = 0
  #isLastAnswered = false
  /** The largest size that was answered; 0 before any. */
  #passed = 0

  constructor(range: SearchRange) {
    this.#range = range
  }

  /** A packet of so many bytes has come through. */
  answered(bytes: number): void {
    if (this.#lastsAsked > 0 && bytes >= this.#passed) this.#isLastAnswered = true
    this.#passed = Math.max(this.#passed, bytes)
  }

  /** Something was answered. */
  get hasPassed(): boolean {
    return this.#passed > 0
  }

  /** The largest size of all has passed: there is nothing more to find. */
  get isTop(): boolean {
    return this.#passed >= this.#range.topBytes
  }

  /** Asked for when a burst's time is over: what is known to pass, once the largest size has failed twice; it may be more. */
  get provisionalBytes(): number | undefined {
    return this.#passed > 0 &&
      this.#passed < this.#range.topBytes &&
      this.#hasSearched &&
      this.#bursts >= TRIES
      ? this.#passed
      : undefined
  }

  next(): Step {
    const { topBytes, leastBytes, hints } = this.#range
    if (this.isTop) return { kind: 'found', bytes: topBytes }
    if (this.#passed === 0)
      return this.#bursts < SILENT_BURSTS ? this.#send([...hints, leastBytes]) : { kind: 'silent' }
    const failing = this.#failing()
    const doubtful = [...this.#tries.keys()].filter((size) => size > this.#passed && size < failing)
    if (doubtful.length > 0) return this.#send(doubtful)
    if (failing - this.#passed > 1) {
      this.#hasSearched = true
      return this.#send(between(this.#passed, failing))
    }
    return this.#complete()
  }

  /** The smallest size above what passes that counts as too large. */
  #failing(): number {
    let least = this.#range.topBytes
    for (const [size, tries] of this.#tries)
      if (tries >= TRIES && size > this.#passed && size < least) least = size
    return least
  }

  /** The answer counts only if the path still takes it: one that breaks during the search is no smaller one. */
  #complete(): Step {
    if (this.#isLastAnswered && (this.#tries.get(this.#range.topBytes) ?? 0) >= TOP_TRIES)
      return { kind: 'found', bytes: this.#passed }
    if (this.#lastsAsked >= SILENT_BURSTS && !this.#isLastAnswered) return { kind: 'silent' }
    this.#lastsAsked++
    return this.#send([this.#passed])
  }

  #send(others: readonly number[]): Step {
    const { topBytes } = this.#range
    const sizes = [...new Set([topBytes, ...others])].filter((size) => size <= topBytes)
    for (const size of sizes) this.#tries.set(size, (this.#tries.get(size) ?? 0) + 1)
    this.#bursts++
    return { kind: 'send', sizes }
  }
}

/** Sizes between two, which are left out: those met on real paths, else at even distances. */
function between(passes: number, fails: number): number[] {
  const known = PLATEAUS.filter((size) => size > passes && size < fails)
  if (known.length > 1) return known
  const step = Math.max(1, Math.floor((fails - passes) / PARTS))
  const sizes: number[] = []
  for (let size = passes + step; size < fails; size += step) sizes.push(size)
  return sizes
}
