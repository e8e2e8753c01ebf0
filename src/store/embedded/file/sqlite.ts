// What we need of SQLite besides node:sqlite: result codes, and statements whose rows have a shape.
import type { SQLInputValue, StatementSync } from 'node:sqlite'

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
