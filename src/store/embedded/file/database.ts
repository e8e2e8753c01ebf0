// The store's one SQLite file: created whole or not at all, checked before anything is written to it,
// held by one process, and durable: a transaction has returned only after its fsync (WAL, synchronous=FULL).
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  APPLICATION_ID,
  FILE_HEADER_BYTES,
  parseFileHeader,
  SCHEMA,
  SCHEMA_VERSION,
  UPGRADES,
} from './schema.ts'
import { ServeError } from '../serve-error.ts'

/** Primary result codes (sqlite.org/rescode.html); the low byte of an extended code. */
export const SQLITE = { busy: 5, corrupt: 11, full: 13, notADatabase: 26 } as const

/** The primary result code of an error thrown by SQLite; undefined for any other error. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined
  return error.errcode & 0xff
}

/** A prepared statement whose integers come as bigint and whose rows have the shape `Row`. */
export class Query<Row> {
  readonly #statement: StatementSync

  constructor(statement: StatementSync) {
    statement.setReadBigInts(true)
    this.#statement = statement
  }

  all(...parameters: SQLInputValue[]): Row[] {
    return this.#statement.all(...parameters) as Row[]
  }

  first(...parameters: SQLInputValue[]): Row | undefined {
    return this.#statement.get(...parameters) as Row | undefined
  }

  each(...parameters: SQLInputValue[]): Iterable<Row> {
    return this.#statement.iterate(...parameters) as Iterable<Row>
  }

  /** How many rows it changed. */
  run(...parameters: SQLInputValue[]): bigint {
    return BigInt(this.#statement.run(...parameters).changes)
  }
}

const LOCK_WAIT_MS = 1000
/** What stays of the log, however much one compaction or defragmentation has put in it. */
const MAX_IDLE_LOG_BYTES = 8 * 1024 * 1024
const AUTO_VACUUM_INCREMENTAL = 2

export class Database implements Disposable {
  readonly path: string
  readonly #connection: DatabaseSync

  private constructor(path: string, connection: DatabaseSync) {
    this.path = path
    this.#connection = connection
  }

  /** Opens the store of a directory, or makes a new one there. Throws ServeError; a file that isn't ours stays as it is. */
  static open(directory: string): Database {
    const path = join(directory, 'store.db')
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

  [Symbol.dispose](): void {
    this.#connection.close()
  }
}

function checkHeader(path: string): void {
  const bytes = new Uint8Array(FILE_HEADER_BYTES)
  const fd = openSync(path, 'r')
  try {
    const header = parseFileHeader(bytes.subarray(0, readSync(fd, bytes, 0, FILE_HEADER_BYTES, 0)))
    if (!header.isSqlite || header.applicationId !== APPLICATION_ID) {
      throw new ServeError(
        'database_foreign',
        `${path} isn't a heddle store${header.isSqlite ? ' but another SQLite database' : ''}; ` +
          'it was left as it is: give another --data-dir, or move the file away',
      )
    }
    if (header.schemaVersion > SCHEMA_VERSION) {
      throw new ServeError(
        'database_newer',
        `${path} has layout ${header.schemaVersion}, this heddle knows ${SCHEMA_VERSION}: run the heddle that wrote it`,
      )
    }
  } finally {
    closeSync(fd)
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

/** Looks at the whole file by a connection that can't write, not even its log into it on closing. */
function checkContents(path: string): void {
  const index = `${path}-shm`
  const isRead = existsSync(index)
  const connection = new DatabaseSync(path, { readOnly: true })
  try {
    const problem = String(connection.prepare('PRAGMA quick_check(1)').get()?.['quick_check'])
    if (problem !== 'ok') {
      const oneLine = problem.replace('*** in database main ***', '').replaceAll('\n', ' ').trim()
      throw new ServeError('database_damaged', `${path} is damaged (${oneLine}): ${RESTORE_ADVICE}`)
    }
  } finally {
    connection.close()
    // The index of the log, which even a reader makes; a store makes its own in memory.
    if (!isRead) rmSync(index, { force: true })
  }
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

const RESTORE_ADVICE =
  'it was left as it is; move the directory away and start anew (hosts put their leases back by themselves, ' +
  'the network config has to be put again), or restore a copy of it'

function describeOpenError(error: unknown, path: string): ServeError {
  if (error instanceof ServeError) return error
  const options = { cause: error }
  const text = error instanceof Error ? error.message : String(error)
  switch (sqliteCode(error)) {
    case SQLITE.busy:
      return new ServeError(
        'database_locked',
        `${path} is in use by another process: only one store may run on it`,
        options,
      )
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return new ServeError('database_damaged', `${path} is damaged (${text}): ${RESTORE_ADVICE}`, options)
    default:
      return new ServeError(
        'database_unreadable',
        `can't open ${path}: ${text}; check the path and its permissions`,
        options,
      )
  }
}
