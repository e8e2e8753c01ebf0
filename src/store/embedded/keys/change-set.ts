// The changes of one write request: all of one revision, made inside the running SQLite transaction.
import type { Database } from '../file/database.ts'
import type { Query } from '../file/sqlite.ts'
import { keyRange, type KeyRange } from './key-range.ts'
import type { KeyVersion, Revisions } from './revisions.ts'

const EMPTY = new Uint8Array(0)

/** The statements of all change sets. */
export class ChangeWriter {
  readonly revisions: Revisions
  readonly #insertHistory: Query<{ id: bigint }>
  readonly #insertCurrent: Query<never>
  readonly #deleteCurrent: Query<never>

  constructor(database: Database, revisions: Revisions) {
    this.revisions = revisions
    this.#insertHistory = database.query(
      `INSERT INTO history (revision, key, value, create_revision, version, lease)
       VALUES (?, ?, ?, ?, ?, ?) RETURNING id`,
    )
    this.#insertCurrent = database.query(
      'INSERT INTO current VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET id = excluded.id, lease = excluded.lease',
    )
    this.#deleteCurrent = database.query('DELETE FROM current WHERE key = ?')
  }

  begin(): ChangeSet {
    return new ChangeSet(this)
  }

  append(change: KeyVersion): void {
    const { key, value, create_revision, mod_revision, version, lease } = change
    const row = this.#insertHistory.first(mod_revision, key, value, create_revision, version, lease)
    if (version === 0n) this.#deleteCurrent.run(key)
    else this.#insertCurrent.run(key, row?.id ?? 0n, lease)
    this.revisions.advance(mod_revision)
  }
}

export class ChangeSet {
  /** In the order they were made. */
  readonly changes: KeyVersion[] = []
  readonly #writer: ChangeWriter
  readonly #revision: bigint

  constructor(writer: ChangeWriter) {
    this.#writer = writer
    this.#revision = writer.revisions.revision + 1n
  }

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const [previous] = this.#writer.revisions.range(keyRange(key, EMPTY))
    this.#append({
      key,
      value,
      lease,
      create_revision: previous?.create_revision ?? this.#revision,
      mod_revision: this.#revision,
      version: (previous?.version ?? 0n) + 1n,
    })
  }

  /** Deletes what the range holds; the answer is what was there. */
  deleteRange(range: KeyRange): KeyVersion[] {
    const deleted = this.#writer.revisions.range(range)
    for (const { key } of deleted) this.delete(key)
    return deleted
  }

  /** Deletes a key that exists. */
  delete(key: Uint8Array): void {
    this.#append({
      key,
      value: EMPTY,
      create_revision: 0n,
      mod_revision: this.#revision,
      version: 0n,
      lease: 0n,
    })
  }

  #append(change: KeyVersion): void {
    this.#writer.append(change)
    this.changes.push(change)
  }
}
