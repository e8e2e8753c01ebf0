// HTTP/2 without TLS ("h2c", prior knowledge) on TCP. The only file that knows how bytes come in; TLS goes here.
import {
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { FilteredSocket } from './filtered-socket.ts'
import type { ListenAddress } from '../options.ts'
import { ServeError } from '../serve-error.ts'

const STREAM_WINDOW_BYTES = 1024 * 1024
const MAX_STREAMS = 10_000
/** What one connection may have in flight before new calls on it are refused. */
const SESSION_MEMORY_MB = 64
/** The kernel finds out about peers that vanished without a word. */
const KEEPALIVE_DELAY_MS = 30_000

export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

export class Listener implements AsyncDisposable {
  readonly host: string
  readonly #tcp: Server
  readonly #http: Http2Server
  readonly #sessions = new Set<ServerHttp2Session>()
  /** Connections that came before there was anything to serve; undefined once there is. */
  #waiting: FilteredSocket[] | undefined = []

  private constructor(host: string) {
    const http = createHttp2Server({
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS },
      maxSessionMemory: SESSION_MEMORY_MB,
    })
    http.on('session', (session) => {
      this.#sessions.add(session)
      session.on('close', () => this.#sessions.delete(session))
    })
    // What isn't HTTP/2 is cut off by the session itself.
    http.on('sessionError', () => undefined)
    this.host = host
    this.#http = http
    this.#tcp = createTcpServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_DELAY_MS })
    this.#tcp.on('connection', (socket) => this.#join(new FilteredSocket(socket)))
  }

  /** Takes connections, which wait for `serve`. Throws ServeError. */
  static async open(address: ListenAddress): Promise<Listener> {
    const listener = new Listener(address.host)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    listener.#tcp.once('error', reject)
    listener.#tcp.listen({ host: address.host, port: address.port }, resolve)
    try {
      await promise
    } catch (error) {
      throw describeListenError(error, address)
    }
    listener.#tcp.removeListener('error', reject)
    return listener
  }

  /** To be called once. */
  serve(onStream: StreamHandler): void {
    this.#http.on('stream', onStream)
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const socket of waiting) this.#join(socket)
  }

  /** The port listened on: the chosen one where 0 was asked for. */
  get port(): number {
    return (this.#tcp.address() as AddressInfo).port
  }

  /** Takes no new connection or call; resolves when those that are open have ended. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()))
    for (const session of this.#sessions) session.close()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#waiting ?? []) socket.destroy()
    if (this.#tcp.listening) await this.close()
  }

  #join(socket: FilteredSocket): void {
    if (this.#waiting === undefined) this.#http.emit('connection', socket)
    else this.#waiting.push(socket.on('error', () => undefined))
  }
}

function describeListenError(error: unknown, { host, port }: ListenAddress): ServeError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') {
    return new ServeError(
      'address_in_use',
      `${host}:${port} is in use: another store or etcd may be running; stop it, or give another --listen`,
      { cause: error },
    )
  }
  const text = error instanceof Error ? error.message : String(error)
  return new ServeError('listen_failed', `can't listen on ${host}:${port}: ${text}`, { cause: error })
}
