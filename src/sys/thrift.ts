// Keeps a long-lived process small. JavaScriptCore lets a heap double before it collects garbage, and what survives is
// then scattered over twice the memory for good; and code that ran once stays resident.
import { releaseGarbage, releaseOwnPages } from './memory.ts'

/** In pieces of work, of which each leaves some ten kilobytes. A collection of the heap at 5,000 peers takes some 25 ms. */
const WORK_A_COLLECTION = 800
/** At rest garbage isn't worth a collection unless this much was done. */
const WORTH_A_COLLECTION = 80
const REST_MS = 5_000
/** What is no work to speak of brings pages in too, as does the collector, which goes over the heap once work is over. */
const LAZY_MS = 20_000

export interface Rests {
  readonly restMs: number
  readonly lazyMs: number
}

interface Release {
  readonly garbage: () => void
  readonly pages: () => void
}

export class Thrift implements Disposable {
  readonly #rests: Rests
  readonly #release: Release
  /** Since the last collection. */
  #work = 0
  #hasWorked = false
  #isLazy = false
  #timer: NodeJS.Timeout | undefined

  constructor(
    rests: Rests = { restMs: REST_MS, lazyMs: LAZY_MS },
    release: Release = { garbage: releaseGarbage, pages: releaseOwnPages },
  ) {
    this.#rests = rests
    this.#release = release
  }

  /** To be told of work, in pieces. Nothing of this runs while there is none. */
  worked(pieces: number): void {
    this.#hasWorked = true
    this.#work += pieces
    if (this.#work >= WORK_A_COLLECTION) this.#collect()
    if (this.#timer === undefined || this.#isLazy) this.#wait(this.#rests.restMs)
  }

  /** To be told of what is no work, but used pages of the executable. */
  stirred(): void {
    if (this.#timer !== undefined) return
    this.#wait(this.#rests.lazyMs)
    this.#isLazy = true
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    this.#hasWorked = false
    this.#isLazy = false
    this.#timer = setTimeout(() => this.#look(), ms)
    this.#timer.unref()
  }

  #look(): void {
    this.#timer = undefined
    if (this.#hasWorked) return this.#wait(this.#rests.restMs)
    if (this.#work >= WORTH_A_COLLECTION) this.#collect()
    this.#release.pages()
    if (!this.#isLazy) this.stirred()
  }

  #collect(): void {
    this.#work = 0
    this.#release.garbage()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
