// `heddle store`: one process that serves etcd's v3 gRPC API from a SQLite file.
import { sqliteCode } from './database.ts'
import { Engine } from './engine.ts'
import { parseStoreOptions, STORE_HELP, type StoreOptions } from './options.ts'
import { Server } from './server.ts'
import { ServeError } from './serve-error.ts'

/** Serves until SIGTERM or SIGINT; the exit code: 2 for a wrong command line, 1 for what else prevents serving. */
export async function storeMain(argv: string[]): Promise<number> {
  try {
    const options = parseStoreOptions(argv)
    if (options === undefined) {
      process.stdout.write(STORE_HELP)
      return 0
    }
    return await serve(options)
  } catch (error) {
    if (sqliteCode(error) !== undefined) {
      say(`can't begin to write the database: ${textOf(error)}; check the disk and the file's permissions`)
      return 1
    }
    if (!(error instanceof ServeError)) throw error
    say(error.message)
    return error.code === 'usage' ? 2 : 1
  }
}

async function serve(options: StoreOptions): Promise<number> {
  const ended = Promise.withResolvers<number>()
  using engine = new Engine(options.dataDirectory, (error) => {
    const text = error instanceof Error ? error.message : String(error)
    say(
      `can't write ${engine.database.path}: ${text}; what was acknowledged is kept, but nothing more can be`,
    )
    ended.resolve(1)
  })
  await using server = await Server.open(engine, options)
  const stop = (): void => ended.resolve(0)
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  say(`serving ${engine.database.path} on ${server.urls.join(', ')} at revision ${engine.revisions.revision}`)
  return await ended.promise
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function say(message: string): void {
  process.stderr.write(`heddle store: ${message}\n`)
}
