// The multi-version key space as SQLite keeps it: what a range holds now, held at a revision, and how it changed.
import type { Database } from '../file/database.ts'
import type { Query } from '../file/sqlite.ts'
import type { KeyRange } from './key-range.ts'
import { refusal } from '../grpc/rpc-error.ts'

/** One version of a key. `version` 0 is a deletion: then only key and mod_revision mean anything. */
export interface KeyVersion {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly create_revision: bigint
  readonly mod_revision: bigint
  readonly version: bigint
  readonly lease: bigint
}

const COLUMNS = 'h.key, h.value, h.create_revision, h.revision AS mod_revision, h.version, h.lease'
const NO_LIMIT = -1n

/** The same statement for each kind of range; the range's keys are its first parameters. */
class RangeQuery<Row> {
  readonly #queries: Readonly<Record<KeyRange['kind'], Query<Row>>>

  constructor(database: Database, column: string, sql: (condition: string) => string) {
    this.#queries = {
      one: database.query<Row>(sql(`${column} = ?`)),
      from: database.query<Row>(sql(`${column} >= ?`)),
      between: database.query<Row>(sql(`${column} >= ? AND ${column} < ?`)),
    }
  }

  all(range: KeyRange, ...parameters: bigint[]): Row[] {
    return this.#queries[range.kind].all(...bounds(range), ...parameters)
  }

  each(range: KeyRange, ...parameters: bigint[]): Iterable<Row> {
    return this.#queries[range.kind].each(...bounds(range), ...parameters)
  }
}

function bounds(range: KeyRange): Uint8Array[] {
  return range.kind === 'between' ? [range.key, range.end] : [range.key]
}

export class Revisions {
  readonly #database: Database
  readonly #now: RangeQuery<KeyVersion>
  readonly #countNow: RangeQuery<{ count: bigint }>
  readonly #then: RangeQuery<KeyVersion>
  readonly #countThen: RangeQuery<{ count: bigint }>
  readonly #changes: RangeQuery<KeyVersion>
  readonly #before: Query<KeyVersion>
  #revision = 0n
  #compactRevision = 0n

  constructor(database: Database) {
    const newestThen = (condition: string): string =>
      `(SELECT max(id) AS id FROM history WHERE ${condition} AND revision <= ? GROUP BY key) AS newest
       JOIN history AS h ON h.id = newest.id WHERE h.version > 0`
    this.#database = database
    this.#now = new RangeQuery(
      database,
      'c.key',
      (condition) =>
        `SELECT ${COLUMNS} FROM current AS c JOIN history AS h ON h.id = c.id
         WHERE ${condition} ORDER BY c.key LIMIT ?`,
    )
    this.#countNow = new RangeQuery(
      database,
      'key',
      (condition) => `SELECT count(*) AS count FROM current WHERE ${condition}`,
    )
    this.#then = new RangeQuery(
      database,
      'key',
      (condition) => `SELECT ${COLUMNS} FROM ${newestThen(condition)} ORDER BY h.key LIMIT ?`,
    )
    this.#countThen = new RangeQuery(
      database,
      'key',
      (condition) => `SELECT count(*) AS count FROM ${newestThen(condition)}`,
    )
    this.#changes = new RangeQuery(
      database,
      'h.key',
      (condition) =>
        `SELECT ${COLUMNS} FROM history AS h INDEXED BY history_by_revision
         WHERE ${condition} AND h.revision >= ? AND h.revision <= ? ORDER BY h.revision, h.id`,
    )
    this.#before = database.query(
      `SELECT ${COLUMNS} FROM history AS h WHERE h.key = ? AND h.revision < ?
       ORDER BY h.revision DESC, h.id DESC LIMIT 1`,
    )
    this.reload()
  }

  /** The newest revision; 1 in a store that never changed, as in etcd. */
  get revision(): bigint {
    return this.#revision
  }

  /** Reads below it are refused; -1 while nothing was ever compacted. */
  get compactRevision(): bigint {
    return this.#compactRevision
  }

  /** Takes the newest revision and the compaction from the file again: at start, and after an undone transaction. */
  reload(): void {
    const row = this.#database
      .query<{ revision: bigint | null }>('SELECT max(revision) AS revision FROM history')
      .first()
    this.#compactRevision = this.#database.meta('compact_revision') ?? -1n
    // Beyond the newest change in a store that was restored, which begins with a compaction.
    this.#revision = maximum(row?.revision ?? 1n, this.#compactRevision)
  }

  /** The changes of `revision` have been written in the running transaction. */
  advance(revision: bigint): void {
    this.#revision = revision
  }

  /** Refuses reads below `revision` from now on; written in the running transaction. */
  compact(revision: bigint): void {
    this.#database.setMeta('compact_revision', revision)
    this.#compactRevision = revision
  }

  /** Key-values in key order as of `revision` (0 or less: now). Refuses what is compacted or yet to come. */
  range(range: KeyRange, revision = 0n, limit = NO_LIMIT): KeyVersion[] {
    return this.#isNow(revision)
      ? this.#now.all(range, limit)
      : this.#then.all(range, this.#readable(revision), limit)
  }

  count(range: KeyRange, revision = 0n): bigint {
    const rows = this.#isNow(revision)
      ? this.#countNow.all(range)
      : this.#countThen.all(range, this.#readable(revision))
    return rows[0]?.count ?? 0n
  }

  /** Changes with fromRevision <= mod_revision <= toRevision in the order they were made. Read it at one go. */
  changes(range: KeyRange, fromRevision: bigint, toRevision: bigint): Iterable<KeyVersion> {
    return this.#changes.each(range, fromRevision, toRevision)
  }

  /** What the key held before `revision`; undefined when nothing, or when compaction has taken the answer away. */
  before(key: Uint8Array, revision: bigint): KeyVersion | undefined {
    if (revision - 1n < this.#compactRevision) return undefined
    const previous = this.#before.first(key, revision)
    return previous === undefined || previous.version === 0n ? undefined : previous
  }

  #isNow(revision: bigint): boolean {
    return revision <= 0n || revision === this.#revision
  }

  #readable(revision: bigint): bigint {
    if (revision > this.#revision) throw refusal('futureRevision')
    if (revision < this.#compactRevision) throw refusal('compacted')
    return revision
  }
}

export function maximum(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
