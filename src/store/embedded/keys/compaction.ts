// Compaction: reads below a revision are refused at once; the rows nobody can ask for go piece by piece after that.
import type { Database } from '../file/database.ts'
import { SQLITE, sqliteCode, type Query } from '../file/sqlite.ts'
import type { Revisions } from './revisions.ts'
import { refusal } from '../grpc/rpc-error.ts'
import type { WriteQueue } from './write-queue.ts'

/** Rows looked at in one transaction: a few milliseconds. */
const STEP_ROWS = 2000n

export interface CompactionOptions {
  readonly database: Database
  readonly queue: WriteQueue
  readonly revisions: Revisions
  /** The rows of a compaction are gone. */
  readonly finished: () => void
  readonly failed: (error: unknown) => void
}

export class Compaction implements Disposable {
  readonly #database: Database
  readonly #queue: WriteQueue
  readonly #revisions: Revisions
  readonly #finished: () => void
  readonly #failed: (error: unknown) => void
  readonly #stepEnd: Query<{ id: bigint | null }>
  readonly #deleteStep: Query<never>
  #waiting: PromiseWithResolvers<void>[] = []
  #next: NodeJS.Immediate | undefined
  #lastId = 0n

  constructor({ database, queue, revisions, finished, failed }: CompactionOptions) {
    this.#database = database
    this.#queue = queue
    this.#revisions = revisions
    this.#finished = finished
    this.#failed = failed
    this.#stepEnd = database.query(
      `SELECT max(id) AS id FROM
         (SELECT id FROM history WHERE id > ? AND revision < ? ORDER BY id LIMIT ${STEP_ROWS})`,
    )
    // Kept: what changed at the revision or later, and what each key held just before it.
    this.#deleteStep = database.query(
      `DELETE FROM history WHERE id > ?1 AND id <= ?2 AND
         (version = 0 OR EXISTS (SELECT 1 FROM history AS newer
           WHERE newer.key = history.key AND newer.revision <= ?3 AND newer.id > history.id))`,
    )
    const done = database.meta('compacted_revision') ?? -1n
    if (done < revisions.compactRevision) this.#begin()
  }

  /** Resolves when the compaction is durable; with `physical`, when its rows are gone as well. */
  async compact(revision: bigint, physical: boolean): Promise<void> {
    await this.#queue.submit(() => {
      if (revision <= this.#revisions.compactRevision) throw refusal('compacted')
      if (revision > this.#revisions.revision) throw refusal('futureRevision')
      this.#revisions.compact(revision)
    })
    this.#begin()
    if (!physical) return
    const gone = Promise.withResolvers<void>()
    this.#waiting.push(gone)
    await gone.promise
  }

  [Symbol.dispose](): void {
    if (this.#next !== undefined) clearImmediate(this.#next)
    this.#next = undefined
  }

  #begin(): void {
    this.#lastId = 0n
    this.#next ??= setImmediate(() => this.#step())
  }

  #step(): void {
    this.#next = undefined
    const revision = this.#revisions.compactRevision
    const end = this.#stepEnd.first(this.#lastId, revision)?.id ?? undefined
    try {
      this.#database.transaction(() => {
        if (end === undefined) this.#database.setMeta('compacted_revision', revision)
        else this.#deleteStep.run(this.#lastId, end, revision)
      })
    } catch (error) {
      // With a full disk the rows stay until the next compaction or start.
      const full = sqliteCode(error) === SQLITE.full
      for (const gone of this.#waiting.splice(0)) gone.reject(full ? refusal('noSpace') : refusal('stopped'))
      if (!full) this.#failed(error)
      return
    }
    if (end === undefined) {
      for (const gone of this.#waiting.splice(0)) gone.resolve()
      this.#finished()
      return
    }
    this.#lastId = end
    this.#next = setImmediate(() => this.#step())
  }
}
