// `heddle store`: one process that serves etcd's v3 gRPC API from a SQLite file.
import { log } from '../../sys/log.ts'
import { sqliteCode } from './file/database.ts'
import { Engine } from './engine.ts'
import { parseStoreOptions, STORE_HELP, type StoreOptions } from './command/options.ts'
import { reachText } from './command/reach.ts'
import { Server } from './server.ts'
import { ServeError } from './serve-error.ts'
import { Listener } from './grpc/listener.ts'
import { TlsFiles } from './grpc/tls-files.ts'

const logger = log.from('store.ts')

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
      logger.error(
        `can't begin to write the database: ${textOf(error)}; check the disk and the file's permissions`,
      )
      return 1
    }
    if (!(error instanceof ServeError)) throw error
    if (error.code === 'usage') {
      process.stderr.write(`heddle store: ${error.message}\n`)
      return 2
    }
    logger.error(error.message)
    return 1
  }
}

async function serve(options: StoreOptions): Promise<number> {
  const ended = Promise.withResolvers<number>()
  // First of all: who starts a second store by mistake gets no empty database for it.
  await using listening = new AsyncDisposableStack()
  const tls = options.tls === undefined ? undefined : listening.use(new TlsFiles(options.tls))
  const listeners: Listener[] = []
  for (const address of options.listen) listeners.push(listening.use(await Listener.open(address, tls)))
  using engine = new Engine({
    ...options,
    failed: (error) => {
      logger.error(
        `can't write ${engine.database.path}: ${textOf(error)}; what was acknowledged is kept, nothing more can be`,
      )
      ended.resolve(1)
    },
  })
  await using server = new Server(engine, listeners, options.progressIntervalMs)
  const stop = (): void => ended.resolve(0)
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  logger.info(`listening on ${listeners.map(({ address }) => reachText(address, options.tls)).join(', ')}`)
  logger.info(
    `serving ${engine.database.path} on ${server.urls.join(', ')} at revision ${engine.revisions.revision}`,
  )
  return await ended.promise
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
