// One HTTP/2 connection to one etcd endpoint: dialled with a deadline, and proved alive by pings while a call is open.
import type { X509Certificate } from 'node:crypto'
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { TlsMaterial } from './certificates.ts'
import { CLOSED_EARLY, badCertificates, unavailable, type EtcdError } from './error.ts'

export interface DialOptions {
  readonly tls: TlsMaterial | undefined
  readonly withinMs: number
}

/** etcd answers pings more often than every 5 s with GOAWAY `too_many_pings`. */
const PING_EVERY_MS = 6_000
const PING_ANSWER_MS = 3_000
/** Flow-control windows: enough for a list of leases over a long line. */
const STREAM_WINDOW_BYTES = 4 << 20
/** Bun 1.4.5 opens a stream's window again only after half of the session's: with a larger one here streams stall. */
const SESSION_WINDOW_BYTES = STREAM_WINDOW_BYTES

/** What ends a call that stays open when another connection has taken over: to be begun anew there. No failure. */
export class Superseded extends Error {
  override readonly name = 'Superseded'
}

/** Opened by `dial`; `usable` until the server says GOAWAY or the connection ends. Disposing ends its calls. */
export class Session implements Disposable {
  readonly endpoint: string
  readonly tls: TlsMaterial | undefined
  readonly #http: ClientHttp2Session
  readonly #superseded = new AbortController()
  #calls = 0
  #timer: NodeJS.Timeout | undefined
  #leaving = false
  #end: EtcdError | undefined

  private constructor(endpoint: string, tls: TlsMaterial | undefined, http: ClientHttp2Session) {
    this.endpoint = endpoint
    this.tls = tls
    this.#http = http
    http.on('error', (cause: Error) => this.#fail(cause.message, cause))
    http.on('close', () => this.#fail('the connection was closed'))
  }

  /** Connects and waits for the server's SETTINGS, so that a server that only accepts is noticed too. Throws StoreError. */
  static async dial(endpoint: string, { tls, withinMs }: DialOptions, signal: AbortSignal): Promise<Session> {
    signal.throwIfAborted()
    const http = begin(endpoint, tls)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const failed = (detail: string, cause?: unknown) =>
      reject(unavailable(endpoint, 'connecting', detail, cause))
    const onError = (cause: Error) => failed(cause.message, cause)
    const onClose = () => failed(CLOSED_EARLY)
    const onAbort = () => reject(signal.reason)
    http.once('remoteSettings', () => resolve())
    http.on('error', onError).on('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    const timer = setTimeout(() => failed(`no HTTP/2 answer within ${withinMs / 1000} s`), withinMs)
    try {
      await promise
      http.off('error', onError).off('close', onClose)
      http.setLocalWindowSize(SESSION_WINDOW_BYTES)
      return new Session(endpoint, tls, http)
    } catch (error) {
      // The error listener stays: a dying session may still report.
      http.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  get usable(): boolean {
    // `closed` says that the server has sent GOAWAY.
    return !this.#leaving && this.#end === undefined && !this.#http.closed && !this.#http.destroyed
  }

  /** The address of this host that it was made from; undefined once it has ended. */
  get localAddress(): string | undefined {
    return this.#http.destroyed ? undefined : this.#http.socket?.localAddress?.replace(/^::ffff:/, '')
  }

  /** Why the connection ended, once it has. */
  get end(): EtcdError | undefined {
    return this.#end
  }

  /** A new stream. Throws EtcdError if the connection is gone. */
  open(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    if (this.#end !== undefined) throw this.#end
    let stream: ClientHttp2Stream
    try {
      stream = this.#http.request(headers)
    } catch (cause) {
      throw unavailable(this.endpoint, 'opening a call', 'the connection takes no more calls', cause)
    }
    if (++this.#calls === 1) this.#pingLater()
    stream.once('close', () => {
      if (--this.#calls > 0) return
      clearTimeout(this.#timer)
      if (this.#leaving) this[Symbol.dispose]()
    })
    return stream
  }

  /** The server's own certificate, which leads to those above it; undefined without TLS, or once it has ended. */
  get serverCertificate(): X509Certificate | undefined {
    if (this.#http.destroyed || this.tls === undefined) return undefined
    return (this.#http.socket as TLSSocket).getPeerX509Certificate()
  }

  /** Aborted, by a Superseded, once another connection has taken this one's place. */
  get superseded(): AbortSignal {
    return this.#superseded.signal
  }

  /** Takes no new calls; ends with the last of those it has. */
  retire(): void {
    this.#leaving = true
    if (this.#calls === 0) this[Symbol.dispose]()
  }

  /** The same, and whoever has a call that stays open is told to begin it elsewhere. */
  supersede(): void {
    this.retire()
    this.#superseded.abort(
      new Superseded(`another connection has taken the place of that to ${this.endpoint}`),
    )
  }

  /** Ends it, and its calls with it. */
  abandon(why: string): void {
    this.#fail(why)
  }

  [Symbol.dispose](): void {
    this.#fail('the connection was closed by us')
  }

  #pingLater(): void {
    this.#timer = setTimeout(() => this.#ping(), PING_EVERY_MS)
  }

  #ping(): void {
    if (this.#end !== undefined || this.#http.destroyed) return
    this.#timer = setTimeout(() => {
      const waited = (PING_EVERY_MS + PING_ANSWER_MS) / 1000
      this.#fail(`no answer to a ping within ${PING_ANSWER_MS / 1000} s (silent for at most ${waited} s)`)
    }, PING_ANSWER_MS)
    const waiting = this.#timer
    this.#http.ping((error) => {
      clearTimeout(waiting)
      if (error === null && this.#calls > 0 && this.#timer === waiting) this.#pingLater()
    })
  }

  #fail(detail: string, cause?: unknown): void {
    clearTimeout(this.#timer)
    if (this.#end !== undefined) return
    this.#end = unavailable(this.endpoint, 'connection', detail, cause)
    this.#http.destroy()
  }
}

function begin(endpoint: string, tls: TlsMaterial | undefined): ClientHttp2Session {
  const settings = { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES }
  try {
    return connect(endpoint, { settings, ca: tls?.ca, cert: tls?.cert, key: tls?.key })
  } catch (cause) {
    // The endpoint is a good one: it's what the files hold.
    throw badCertificates('used', cause)
  }
}
