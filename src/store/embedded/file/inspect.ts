// A store's file before it is opened for writing: whether it is one, of a layout that is known, and sound.
import { closeSync, existsSync, openSync, readSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { ServeError } from '../serve-error.ts'
import { APPLICATION_ID, FILE_HEADER_BYTES, parseFileHeader, SCHEMA_VERSION } from './schema.ts'
import { SQLITE, sqliteCode } from './sqlite.ts'

/** Throws ServeError for a file that isn't a store of this heddle or an older one. */
export function checkHeader(
  path: string,
  advice = 'it was left as it is: give another --data-dir, or move the file away',
): void {
  const bytes = new Uint8Array(FILE_HEADER_BYTES)
  const fd = openSync(path, 'r')
  try {
    const header = parseFileHeader(bytes.subarray(0, readSync(fd, bytes, 0, FILE_HEADER_BYTES, 0)))
    if (!header.isSqlite || header.applicationId !== APPLICATION_ID) {
      throw new ServeError(
        'database_foreign',
        `${path} isn't a heddle store${header.isSqlite ? ' but another SQLite database' : ''}; ${advice}`,
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

/** A connection that can't write, not even the log into the file on closing. What it makes beside the file goes with it. */
export class Reader implements Disposable {
  readonly connection: DatabaseSync
  readonly #made: readonly string[]

  constructor(path: string) {
    // The log's index, which even a reader makes, and a log without anything in it.
    this.#made = [`${path}-shm`, `${path}-wal`].filter((name) => !existsSync(name))
    this.connection = new DatabaseSync(path, { readOnly: true })
  }

  [Symbol.dispose](): void {
    this.connection.close()
    for (const name of this.#made) rmSync(name, { force: true })
  }
}

/** Looks at the whole file. Throws ServeError, or SQLite's error where it can't look. */
export function checkContents(path: string, advice = DAMAGE_ADVICE): void {
  using reader = new Reader(path)
  const problem = String(reader.connection.prepare('PRAGMA quick_check(1)').get()?.['quick_check'])
  if (problem === 'ok') return
  const oneLine = problem.replace('*** in database main ***', '').replaceAll('\n', ' ').trim()
  throw new ServeError('database_damaged', `${path} is damaged (${oneLine}): ${advice}`)
}

const DAMAGE_ADVICE =
  'it was left as it is; move the directory away, and restore a backup or start anew (hosts put their leases back ' +
  'by themselves, the network config has to be put again)'

/** What SQLite's error means for who wanted to open the file. */
export function describeOpenError(error: unknown, path: string): ServeError {
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
      return new ServeError('database_damaged', `${path} is damaged (${text}): ${DAMAGE_ADVICE}`, options)
    default:
      return new ServeError(
        'database_unreadable',
        `can't open ${path}: ${text}; check the path and its permissions`,
        options,
      )
  }
}
