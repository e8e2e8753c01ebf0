// How `heddle store backup` asks the store that runs on a directory: HTTP on a socket file in that directory, which
// its owner alone may connect to. Users and certificates have no say there: who owns the file may read it anyway.
import { randomUUID } from 'node:crypto'
import { createReadStream, readdirSync, rmSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { log } from '../../../sys/log.ts'
import type { Database } from '../file/database.ts'
import { listen } from '../grpc/listen.ts'
import { ServeError } from '../serve-error.ts'

const logger = log.from('store.ts')

export const BACKUP_PATH = '/backup'
/** What a killed store may have left. */
const COPY = /^backup-[-0-9a-f]{36}\.tmp$/

export function controlSocketOf(directory: string): string {
  return join(directory, 'control.sock')
}

export class ControlSocket implements AsyncDisposable {
  readonly #server: Server
  readonly #database: Database
  readonly #directory: string

  private constructor(directory: string, database: Database) {
    this.#directory = directory
    this.#database = database
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  /** Undefined, and said in the log, where no socket can be: everything else works without. */
  static async open(directory: string, database: Database): Promise<ControlSocket | undefined> {
    const control = new ControlSocket(directory, database)
    for (const left of readdirSync(directory).filter((name) => COPY.test(name))) rmSync(join(directory, left))
    try {
      await listen(control.#server, { kind: 'unix', path: controlSocketOf(directory) })
      return control
    } catch (error) {
      if (!(error instanceof ServeError)) throw error
      logger.warning(`${error.message}; \`heddle store backup\` works only while this store is stopped`)
      return undefined
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    rmSync(controlSocketOf(this.#directory), { force: true })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url !== BACKUP_PATH) {
      response.writeHead(404, { connection: 'close' }).end()
      return
    }
    const copy = join(this.#directory, `backup-${randomUUID()}.tmp`)
    try {
      await this.#database.copyTo(copy)
      response.writeHead(200, { 'content-length': statSync(copy).size, connection: 'close' })
      await pipeline(createReadStream(copy), response)
      logger.info('handed out a backup')
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      logger.warning(`a backup failed: ${text}`)
      if (!response.headersSent) response.writeHead(500, { connection: 'close' }).end(text)
    } finally {
      rmSync(copy, { force: true })
    }
  }
}
