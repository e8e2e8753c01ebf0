// One address listened on: TCP with or without TLS, or a UNIX socket. Each connection is handed to HTTP/2, or to
// HTTP/1 for those who only ask for health, by its first bytes.
import {
  createServer as createHttp1Server,
  type RequestListener,
  type Server as Http1Server,
} from 'node:http'
import {
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer as createSocketServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { log } from '../../../sys/log.ts'
import { AuthorityFilter } from './authority-filter.ts'
import { FilteredSocket } from './filtered-socket.ts'
import { readFirstBytes } from './first-bytes.ts'
import { listen } from './listen.ts'
import { addressText, type ListenAddress } from './listen-address.ts'
import type { TlsFiles } from './tls-files.ts'
import { TlsGate } from './tls-gate.ts'

const logger = log.from('store.ts')

const STREAM_WINDOW_BYTES = 1024 * 1024
const MAX_STREAMS = 10_000
/** What one connection may have in flight before new calls on it are refused. */
const SESSION_MEMORY_MB = 64
/** The kernel finds out about peers that vanished without a word. */
const KEEPALIVE_DELAY_MS = 30_000

export interface Handlers {
  /** `certificateName` is the common name of the client's certificate, if it showed one that was verified. */
  stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, certificateName: string | undefined): void
  readonly request: RequestListener
}

export class Listener implements AsyncDisposable {
  readonly #asked: ListenAddress
  readonly #server: Server
  readonly #http1: Http1Server
  readonly #http2: Http2Server
  readonly #tls: TlsGate | undefined
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<ServerHttp2Session>()
  /** Connections that came before there was anything to serve; undefined once there is. */
  #waiting: Socket[] | undefined = []

  private constructor(asked: ListenAddress, tls: TlsFiles | undefined) {
    this.#asked = asked
    this.#server = createSocketServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
    })
    this.#http1 = createHttp1Server()
    this.#http2 = createHttp2Server({
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, maxConcurrentStreams: MAX_STREAMS },
      maxSessionMemory: SESSION_MEMORY_MB,
    })
    this.#http2.on('session', (session) => {
      this.#sessions.add(session)
      session.on('close', () => this.#sessions.delete(session))
    })
    // What isn't HTTP/2 is cut off by the session itself.
    this.#http2.on('sessionError', () => undefined)
    if (tls !== undefined) {
      this.#tls = new TlsGate(tls, {
        admitted: (socket, certificateName) => this.#hand(socket, certificateName),
        refused: (reason) =>
          logger.warning(`refused a connection to ${addressText(this.address)}: ${reason}`),
      })
    }
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      if (this.#waiting === undefined) this.#admit(socket)
      else this.#waiting.push(socket.on('error', () => undefined))
    })
  }

  /** Takes connections, which wait for `serve`. An address with TLS needs its files. Throws ServeError. */
  static async open(address: ListenAddress, tls?: TlsFiles): Promise<Listener> {
    const secure = address.kind === 'tcp' && address.tls
    const listener = new Listener(address, secure ? tls : undefined)
    await listen(listener.#server, address)
    return listener
  }

  /** To be called once. */
  serve(handlers: Handlers): void {
    this.#http1.on('request', handlers.request)
    this.#http2.on('stream', (stream, headers) => {
      const socket = stream.session?.socket as unknown as FilteredSocket | undefined
      handlers.stream(stream, headers, socket?.certificateName)
    })
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const socket of waiting) this.#admit(socket)
  }

  /** Where it listens, with the port chosen where 0 was asked for. */
  get address(): ListenAddress {
    if (this.#asked.kind === 'unix') return this.#asked
    return { ...this.#asked, port: (this.#server.address() as AddressInfo).port }
  }

  /** Takes no new connection or call; resolves when those that are open have ended. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const session of this.#sessions) session.close()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#sockets) socket.destroy()
    if (this.#server.listening) await this.close()
  }

  #admit(socket: Socket): void {
    if (this.#tls === undefined) this.#hand(socket, undefined)
    else this.#tls.admit(socket)
  }

  #hand(socket: Socket, certificateName: string | undefined): void {
    readFirstBytes(socket, ({ bytes: first, protocol }) => {
      const authority = new AuthorityFilter()
      const filter =
        protocol === 'http2' ? (chunk: Buffer) => authority.push(chunk) : (chunk: Buffer) => chunk
      const server = protocol === 'http2' ? this.#http2 : this.#http1
      server.emit('connection', new FilteredSocket(socket, { first, filter, certificateName }))
    })
  }
}
