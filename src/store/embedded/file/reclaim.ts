// Gives pages that compaction has emptied back to the file system, some at a time with pauses between, so that writes
// hardly wait for it.
import { log } from '../../../sys/log.ts'
import type { Database } from './database.ts'
import { SQLITE, sqliteCode } from './sqlite.ts'

const logger = log.from('store.ts')

/** Less isn't worth the writing: the next changes fill it. */
const MIN_FREE_BYTES = 1024n * 1024n
/** Pages moved in one transaction: a few milliseconds. */
const STEP_PAGES = 256
const PAUSE_MS = 50

export class Reclaim implements Disposable {
  readonly #database: Database
  readonly #failed: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined

  constructor(database: Database, failed: (error: unknown) => void) {
    this.#database = database
    this.#failed = failed
    this.look()
  }

  /** Begins when more of the file is empty than in use. */
  look(): void {
    const { totalBytes, usedBytes } = this.#database.sizes()
    const freeBytes = totalBytes - usedBytes
    if (this.#timer === undefined && freeBytes >= MIN_FREE_BYTES && freeBytes > usedBytes) this.#later()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #later(): void {
    this.#timer = setTimeout(() => this.#step(), PAUSE_MS)
    this.#timer.unref()
  }

  #step(): void {
    this.#timer = undefined
    try {
      const before = this.#database.sizes()
      if (before.totalBytes > before.usedBytes) {
        this.#database.releasePages(STEP_PAGES)
        // A file that can't give pages back keeps them.
        if (this.#database.sizes().totalBytes < before.totalBytes) {
          this.#later()
          return
        }
      }
      this.#database.checkpoint()
      logger.info(`the database takes ${before.totalBytes / 1024n} KiB, after it gave empty pages back`)
    } catch (error) {
      // With a full disk they stay until the next compaction.
      if (sqliteCode(error) !== SQLITE.full) this.#failed(error)
    }
  }
}
