// What flanneld tells about itself over HTTP: /healthz and /readyz with upstream's texts, /status as JSON. The
// same answers on the health port and on the UNIX socket.
import { createServer, type RequestListener, type Server } from 'node:http'
import { mkdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'

export interface StatusSource {
  readonly ready: boolean
  /** Everything worth telling, as plain JSON; computed when asked. */
  report(): unknown
}

const RETRY_MS = 5_000

export type Place = { readonly ip: string; readonly port: number } | { readonly socket: string }

/** Answers until disposed. A place that is taken is told through `onTrouble` and tried again: it never ends the daemon. */
export class StatusServer implements AsyncDisposable {
  readonly #server: Server
  readonly #place: Place
  readonly #onTrouble: (reason: string) => void
  readonly #retryMs: number
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(place: Place, source: StatusSource, onTrouble: (reason: string) => void, retryMs = RETRY_MS) {
    this.#retryMs = retryMs
    this.#place = place
    this.#onTrouble = onTrouble
    this.#server = createServer(answer(source))
    this.#server.on('error', (error) => this.#again(error))
    void this.#listen()
  }

  async #listen(): Promise<void> {
    if ('port' in this.#place) {
      this.#server.listen(this.#place.port, this.#place.ip)
      return
    }
    const { socket } = this.#place
    try {
      mkdirSync(dirname(socket), { recursive: true })
      if (await answered(socket)) throw new Error('another process answers there')
      rmSync(socket, { force: true })
    } catch (error) {
      this.#again(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (!this.#closed) this.#server.listen(socket)
  }

  #again(error: Error): void {
    if (this.#closed) return
    const where = 'port' in this.#place ? `${this.#place.ip}:${this.#place.port}` : this.#place.socket
    this.#onTrouble(`cannot answer status requests at ${where}: ${error.message}; trying again`)
    this.#retry = setTimeout(() => void this.#listen(), this.#retryMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#server.closeAllConnections()
    if (this.#server.listening) await new Promise<void>((done) => this.#server.close(() => done()))
  }
}

const answer =
  (source: StatusSource): RequestListener =>
  (request, response) => {
    const [path] = (request.url ?? '/').split('?')
    const say = (code: number, type: string, body: string) =>
      response.writeHead(code, { 'content-type': type }).end(request.method === 'HEAD' ? undefined : body)
    if (path === '/healthz') say(200, 'text/plain', 'flanneld is running')
    else if (path === '/readyz')
      say(
        source.ready ? 200 : 503,
        'text/plain',
        source.ready ? 'flanneld is ready' : 'flanneld is not ready yet',
      )
    else if (path === '/status') say(200, 'application/json', `${JSON.stringify(source.report())}\n`)
    else say(404, 'text/plain', '404 page not found\n')
  }

/** Whether a process listens on the UNIX socket; a leftover of a killed one refuses. */
const answered = (socket: string): Promise<boolean> =>
  new Promise((done) => {
    const probe = connect(socket)
    probe.once('connect', () => (probe.destroy(), done(true)))
    probe.once('error', () => done(false))
  })
