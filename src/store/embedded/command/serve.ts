// Serves the store of a directory until SIGTERM or SIGINT.
import { log } from '../../../sys/log.ts'
import { endStart } from '../../../sys/start.ts'
import { ControlSocket } from '../control/control-socket.ts'
import { Engine } from '../engine.ts'
import { Listener } from '../grpc/listener.ts'
import { TlsFiles } from '../grpc/tls-files.ts'
import { Server } from '../server.ts'
import type { StoreOptions } from './options.ts'
import { reachText } from './reach.ts'

const logger = log.from('store.ts')

/** The exit code: 1 when the file can't be written any more. Throws ServeError, or SQLite's error. */
export async function serve(options: StoreOptions): Promise<number> {
  const ended = Promise.withResolvers<number>()
  // First of all: who starts a second store by mistake gets no empty database for it.
  await using listening = new AsyncDisposableStack()
  const tls = options.tls === undefined ? undefined : listening.use(new TlsFiles(options.tls))
  const listeners: Listener[] = []
  for (const address of options.listen) listeners.push(listening.use(await Listener.open(address, tls)))
  using engine = new Engine({
    ...options,
    failed: (error) => {
      const text = error instanceof Error ? error.message : String(error)
      logger.error(
        `can't write ${engine.database.path}: ${text}; what was acknowledged is kept, nothing more can be`,
      )
      ended.resolve(1)
    },
  })
  await using _control = await ControlSocket.open(options.dataDirectory, engine.database)
  await using server = new Server(engine, listeners, options.progressIntervalMs)
  const stop = (): void => ended.resolve(0)
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  logger.info(`listening on ${listeners.map(({ address }) => reachText(address, options.tls)).join(', ')}`)
  logger.info(
    `serving ${engine.database.path} on ${server.urls.join(', ')} at revision ${engine.revisions.revision}`,
  )
  endStart()
  return await ended.promise
}
