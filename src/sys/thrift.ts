// Keeps a long-lived process small. JavaScriptCore lets a heap double before it collects garbage, and what survives is
// then scattered over twice the memory for good; and code that ran once stays resident.
import { releaseGarbage, releasePages } from './memory.ts'

/** A collection of the heap at 5,000 peers takes some 25 ms. */
const WORK_A_COLLECTION = 100
/** At rest garbage isn't worth a collection unless this much was done. */
const WORTH_A_COLLECTION = 20
const REST_MS = 5_000

interface Release {
  readonly garbage: () => void
  readonly pages: () => void
}

export class Thrift implements Disposable {
  readonly #restMs: number
  readonly #release: Release
  /** Since the last collection. */
  #work = 0
  #hasWorked = false
  #timer: NodeJS.Timeout | undefined

  constructor(restMs = REST_MS, release: Release = { garbage: releaseGarbage, pages: releasePages }) {
    this.#restMs = restMs
    this.#release = release
  }

  /** To be told of each piece of work. Nothing of this runs while there is none. */
  worked(): void {
    this.#hasWorked = true
    if (++this.#work >= WORK_A_COLLECTION) this.#collect()
    if (this.#timer === undefined) this.#wait()
  }

  #wait(): void {
    this.#hasWorked = false
    this.#timer = setTimeout(() => this.#look(), this.#restMs)
    this.#timer.unref()
  }

  #look(): void {
    this.#timer = undefined
    if (this.#hasWorked) return this.#wait()
    if (this.#work >= WORTH_A_COLLECTION) this.#collect()
    this.#release.pages()
  }

  #collect(): void {
    this.#work = 0
    this.#release.garbage()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
