// Group commit: the writes that came in one turn of the event loop share one SQLite transaction and its fsync.
// Nobody hears of a write, neither its caller nor a watch, before that transaction is on the disk.
import type { ChangeSet, ChangeWriter } from './change-set.ts'
import type { Database } from '../file/database.ts'
import { SQLITE, sqliteCode } from '../file/sqlite.ts'
import type { KeyVersion } from './revisions.ts'
import { refusal, RpcError } from '../grpc/rpc-error.ts'

/** Bounds how long one turn can take. */
const MAX_BATCH = 512

export interface WriteQueueOptions {
  readonly database: Database
  readonly writer: ChangeWriter
  /** Called in the order of revisions, once for each write that changed keys, before its caller hears of it. */
  readonly published: (changes: readonly KeyVersion[]) => void
  /** What was written was undone: copies in memory have to be taken from the file again. */
  readonly undone: () => void
  /** The file can't be written any more: nothing that follows could be kept. */
  readonly failed: (error: unknown) => void
}

interface Waiting {
  /** Writes, or throws an RpcError before having written anything. */
  run(): void
  commit(): void
  reject(error: unknown): void
}

export class WriteQueue {
  readonly #options: WriteQueueOptions
  #waiting: Waiting[] = []
  #flush: NodeJS.Immediate | undefined
  #outOfSpace = false

  constructor(options: WriteQueueOptions) {
    this.#options = options
  }

  /** True from a write that found the disk full until one that didn't. */
  get outOfSpace(): boolean {
    return this.#outOfSpace
  }

  /**
   * `apply` runs inside the transaction and must throw RpcError before its first change or not at all;
   * `committed` runs once its result is on the disk, before anything else can be read or written.
   */
  submit<T>(apply: (changes: ChangeSet) => T, committed?: (result: T) => void): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    let result: T
    let changes: ChangeSet
    this.#waiting.push({
      run: () => {
        changes = this.#options.writer.begin()
        result = apply(changes)
      },
      commit: () => {
        committed?.(result)
        if (changes.changes.length > 0) this.#options.published(changes.changes)
        resolve(result)
      },
      reject,
    })
    this.#flush ??= setImmediate(() => this.flush())
    return promise
  }

  /** Commits what is waiting, now. */
  flush(): void {
    if (this.#flush !== undefined) clearImmediate(this.#flush)
    this.#flush = undefined
    const batch = this.#waiting.splice(0, MAX_BATCH)
    if (this.#waiting.length > 0) this.#flush = setImmediate(() => this.flush())
    if (batch.length > 0) this.#commit(batch)
  }

  #commit(batch: readonly Waiting[]): void {
    let written: Waiting[] = []
    try {
      this.#options.database.transaction(() => {
        written = batch.filter(runs)
      })
      this.#outOfSpace = false
    } catch (error) {
      this.#undone(batch, error)
      return
    }
    for (const write of written) write.commit()
  }

  /** The transaction was rolled back: nothing of the batch has happened. */
  #undone(batch: readonly Waiting[], error: unknown): void {
    this.#options.undone()
    const code = sqliteCode(error)
    const broken = code !== undefined && code !== SQLITE.full
    if (!broken && batch.length > 1) {
      for (const write of batch) this.#commit([write])
      return
    }
    this.#outOfSpace = code === SQLITE.full
    const answer = this.#outOfSpace ? refusal('noSpace') : describe(error)
    for (const write of batch) write.reject(answer)
    if (!this.#outOfSpace) this.#options.failed(error)
  }
}

/** False when the write was refused, and so is out of the batch. */
function runs(write: Waiting): boolean {
  try {
    write.run()
    return true
  } catch (error) {
    if (!(error instanceof RpcError)) throw error
    write.reject(error)
    return false
  }
}

function describe(error: unknown): RpcError {
  const text = error instanceof Error ? error.message : String(error)
  return new RpcError('internal', `heddle store: write failed: ${text}`, { cause: error })
}
