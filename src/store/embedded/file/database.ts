// The store's one SQLite file: created whole or not at all, checked before anything is written to it,
// held by one process, and durable: a transaction has returned only after its fsync (WAL, synchronous=FULL).
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { APPLICATION_ID, SCHEMA, SCHEMA_VERSION, UPGRADES } from './schema.ts'
import { ServeError } from '../serve-error.ts'
import { copyDatabase } from './copy.ts'
import { checkContents, checkHeader, describeOpenError } from './inspect.ts'
import { Query, SQLITE, sqliteCode } from './sqlite.ts'

const LOCK_WAIT_MS = 1000
/** What stays of the log, however much one compaction or defragmentation has put in it. */
const MAX_IDLE_LOG_BYTES = 8 * 1024 * 1024
const AUTO_VACUUM_INCREMENTAL = 2

/** The file of the store that is kept in that directory. */
export function storeFile(directory: string): string {
  return join(directory, 'store.db')
}

export class Database implements Disposable {
  readonly path: string
  readonly #connection: DatabaseSync

  private constructor(path: string, connection: DatabaseSync) {
    this.path = path
    this.#connection = connection
  }

  /** Opens the store of a directory, or makes a new one there. Throws ServeError; a file that isn't ours stays as it is. */
  static open(directory: string): Database {
    const path = storeFile(directory)
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      if (existsSync(path)) {
        checkHeader(path)
        checkContents(path)
      } else {
        createFile(directory, path)
      }
      const connection = connect(path)
      upgrade(connection)
      return new Database(path, connection)
    } catch (error) {
      throw describeOpenError(error, path)
    }
  }

  query<Row = Record<string, never>>(sql: string): Query<Row> {
    return new Query<Row>(this.#connection.prepare(sql))
  }

  /** Runs `work` in one transaction; when it returns, what it wrote is on the disk. A throw undoes all of it. */
  transaction<T>(work: () => T): T {
    this.#connection.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#connection.exec('COMMIT')
      return result
    } catch (error) {
      // SQLite has ended the transaction by itself after some errors, a full disk among them.
      if (this.#connection.isTransaction) this.#connection.exec('ROLLBACK')
      throw error
    }
  }

  meta(name: string): bigint | undefined {
    return this.query<{ value: bigint }>('SELECT value FROM meta WHERE name = ?').first(name)?.value
  }

  setMeta(name: string, value: bigint): void {
    this.query('INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value').run(
      name,
      value,
    )
  }

  /** Size of the file as its pages count, and the part of them in use. */
  sizes(): { totalBytes: bigint; usedBytes: bigint } {
    const pragma = (name: string): bigint => {
      const row = this.query<Record<string, bigint>>(`PRAGMA ${name}`).first()
      return row?.[name] ?? 0n
    }
    const pageBytes = pragma('page_size')
    const pages = pragma('page_count')
    return { totalBytes: pages * pageBytes, usedBytes: (pages - pragma('freelist_count')) * pageBytes }
  }

  /** Writes the file anew, without its empty pages; nothing else is done meanwhile. */
  defragment(): void {
    this.#connection.exec('VACUUM')
    this.checkpoint()
  }

  /** Takes so many of the empty pages off the end of the file, in a transaction of its own. */
  releasePages(pages: number): void {
    this.#connection.exec(`PRAGMA incremental_vacuum(${pages})`)
  }

  /** Writes the log back into the file, which gets its new size by that, and empties the log. */
  checkpoint(): void {
    this.#connection.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  /** Writes all of it, as it is at one moment, to a file that isn't there yet. */
  async copyTo(path: string): Promise<void> {
    await copyDatabase(this.#connection, path)
  }

  [Symbol.dispose](): void {
    this.#connection.close()
  }
}

/** Written beside its place and renamed, so that no half-made file is ever found there. */
function createFile(directory: string, path: string): void {
  if (existsSync(`${path}-wal`)) {
    throw new ServeError(
      'database_damaged',
      `${path} is missing but its log ${path}-wal is there: put the file back, or move the log away to begin anew`,
    )
  }
  const draft = `${path}.new`
  for (const name of [draft, `${draft}-journal`]) rmSync(name, { force: true })
  closeSync(openSync(draft, 'wx', 0o600))
  const connection = new DatabaseSync(draft)
  connection.exec(
    `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = FULL; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`,
  )
  connection.exec(`BEGIN; ${SCHEMA}`)
  connection.exec('COMMIT')
  connection.close()
  renameSync(draft, path)
  const fd = openSync(directory, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

function connect(path: string): DatabaseSync {
  // Another process that is just looking at the file may hold it for a moment.
  const connection = new DatabaseSync(path, { timeout: LOCK_WAIT_MS })
  // Held as long as the process lives; the kernel drops it with the process.
  connection.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  connection.exec(`PRAGMA journal_size_limit = ${MAX_IDLE_LOG_BYTES}`)
  connection.exec('BEGIN IMMEDIATE; COMMIT')
  return connection
}

/** Brings the file of an older heddle to the layout of this one, at once or not at all. */
function upgrade(connection: DatabaseSync): void {
  const pragma = (name: string): number => Number(connection.prepare(`PRAGMA ${name}`).get()?.[name])
  const layout = pragma('user_version')
  if (layout < SCHEMA_VERSION) {
    const steps = UPGRADES.slice(layout - 1).join('')
    connection.exec(`BEGIN IMMEDIATE; ${steps}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`)
  }
  // Made by an older heddle, it can't give pages back one by one until it was written anew once.
  if (pragma('auto_vacuum') === AUTO_VACUUM_INCREMENTAL) return
  try {
    connection.exec('PRAGMA auto_vacuum = INCREMENTAL; VACUUM')
  } catch (error) {
    // The next start tries again.
    if (sqliteCode(error) !== SQLITE.full) throw error
  }
}
