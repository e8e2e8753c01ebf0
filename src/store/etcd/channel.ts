// The way to etcd: several endpoints, one connection at a time, the next endpoint when it fails; and logging in. With
// other TLS files a new connection takes the old one's place, once it has proved to work.
import { Call, type Method } from './call.ts'
import type { CertificateInUse, TlsMaterial } from './certificates.ts'
import { Endpoints } from './endpoints.ts'
import { badCertificates, unavailable, wantsLogin } from './error.ts'
import { Login, type User } from './login.ts'
import { authenticate } from './methods.ts'
import type { Session } from './session.ts'
import { untilAborted } from './wait.ts'

const DEADLINE_MS = 10_000
const DIAL_MS = 5_000
/** Rights that change all the time may outdate a login before its first use. */
const MOST_LOGINS = 3

export interface ChannelOptions {
  /** `http://host:port` or `https://host:port`; `host:port` is one of those, by whether there is `tls`. */
  readonly endpoints: readonly string[]
  readonly user?: User
  /** Read anew for each connection. */
  readonly tls?: () => Promise<TlsMaterial>
  /** For one request; connecting gets at most 5 s of it. 10 s unless given. */
  readonly deadlineMs?: number
  /** Told when another connection is in use: `certificates` tells those of the new one. */
  readonly connected?: (endpoint: string) => void
}

export class Channel implements Disposable {
  readonly #options: ChannelOptions
  readonly #endpoints: Endpoints
  readonly #login: Login | undefined
  readonly #life = new AbortController()
  #session: Session | undefined
  #dialling: Promise<Session> | undefined
  /** What a connection has come up with. */
  #proven: TlsMaterial | undefined

  /** Throws StoreError for endpoints that are none. */
  constructor(options: ChannelOptions) {
    this.#options = options
    this.#endpoints = new Endpoints(options.endpoints, options.tls ? 'https' : 'http')
    const { user } = options
    if (user !== undefined) this.#login = new Login(() => this.#authenticate(user))
  }

  /** Who answers now, or would be asked first. */
  get endpoint(): string {
    return this.#session?.endpoint ?? this.#endpoints.first
  }

  /** Those that the connection in use was made with, and those that the server has presented on it. */
  async certificates(): Promise<readonly CertificateInUse[]> {
    const session = this.#session
    if (session?.tls === undefined) return []
    const { certificatesOf, presented } = await import('./certificates.ts')
    return [
      ...certificatesOf(session.tls),
      ...presented(session.serverCertificate, session.endpoint, session.tls),
    ]
  }

  /** One request, one answer, within the deadline; of a stream, the last answer. Throws EtcdError, or the signal's reason. */
  async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response> {
    return this.#asUser((token) => this.#unary(undefined, method, request, token, signal), signal)
  }

  /** A call that stays open until the caller, the server or the connection ends it; Superseded to begin it anew. */
  async stream<Request, Response>(
    method: Method<Request, Response>,
    metadata: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Call<Request, Response>> {
    const token = await this.#login?.token(signal)
    const session = await this.#connected(signal)
    const either = AbortSignal.any([signal, session.superseded])
    return new Call(session, method, { metadata: { ...bearing(token), ...metadata }, signal: either })
  }

  /**
   * Goes over to a connection with the TLS files as they are now, once that has answered the request. Until then, and
   * for good if it throws (StoreError), the one there is serves. `idle`: there is none, and the next one uses them anyway.
   */
  async renew<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<'renewed' | 'same' | 'idle'> {
    const old = this.#session
    if (old?.usable !== true) return 'idle'
    const tls = await this.#readTls()
    if (tls === undefined) return 'idle'
    if (old.tls !== undefined && (await import('./certificates.ts')).isSameMaterial(old.tls, tls))
      return 'same'
    const life = AbortSignal.any([signal, this.#life.signal])
    const session = await this.#endpoints.connect({ tls, withinMs: this.#dialMs }, life)
    try {
      await this.#asUser((token) => this.#unary(session, method, request, token, life), life)
    } catch (error) {
      session[Symbol.dispose]()
      throw error
    }
    this.#use(session)
    return 'renewed'
  }

  /** Ends a connection from an address that this host hasn't got any more: no packet would leave, nor one arrive. */
  addressesAre(addresses: ReadonlySet<string>): void {
    const from = this.#session?.localAddress
    if (from === undefined || from.startsWith('127.') || addresses.has(from)) return
    this.#session?.abandon(`this host has no address ${from} any more`)
  }

  [Symbol.dispose](): void {
    this.#life.abort(new DOMException('the etcd client was closed', 'AbortError'))
    this.#session?.[Symbol.dispose]()
  }

  /** With a login, again while etcd finds it stale. */
  async #asUser<T>(call: (token: string | undefined) => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let logins = 1; ; logins++) {
      const token = await this.#login?.token(signal)
      try {
        return await call(token)
      } catch (error) {
        if (this.#login === undefined || logins === MOST_LOGINS || !wantsLogin(error)) throw error
        await this.#login.refused(token)
      }
    }
  }

  async #authenticate(user: User): Promise<string> {
    return (await this.#unary(undefined, authenticate, user, undefined, this.#life.signal)).token
  }

  /** On the connection in use unless another is given. */
  async #unary<Request, Response>(
    on: Session | undefined,
    method: Method<Request, Response>,
    request: Request,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const session = on ?? (await this.#connected(signal))
    using call = new Call(session, method, { metadata: bearing(token), deadlineMs: this.#deadlineMs, signal })
    call.send(request)
    call.end()
    let answer: Response | undefined
    for await (const one of call.messages()) answer = one
    return answer ?? Promise.reject(unavailable(session.endpoint, method.name, 'answered without a message'))
  }

  /** The open connection, else a new one; callers that come together share it. */
  async #connected(signal: AbortSignal): Promise<Session> {
    this.#life.signal.throwIfAborted()
    signal.throwIfAborted()
    if (this.#session?.usable) return this.#session
    if (this.#dialling === undefined) {
      const dialling = this.#dial()
      this.#dialling = dialling
      const done = () => {
        this.#dialling = undefined
      }
      dialling.then(done, done)
    }
    return untilAborted(this.#dialling, signal)
  }

  async #dial(): Promise<Session> {
    // The one we had is gone or leaving: any other is the better guess.
    if (this.#session !== undefined) this.#endpoints.advance()
    const tls = await this.#readTls().catch((error: unknown) => this.#proven ?? Promise.reject(error))
    const session = await this.#endpoints.connect({ tls, withinMs: this.#dialMs }, this.#life.signal)
    this.#use(session)
    return session
  }

  #use(session: Session): void {
    const old = this.#session
    this.#session = session
    this.#proven = session.tls
    old?.supersede()
    this.#options.connected?.(session.endpoint)
  }

  /** The files as they are, judged. Throws StoreError. */
  async #readTls(): Promise<TlsMaterial | undefined> {
    if (this.#options.tls === undefined) return undefined
    const material = await this.#options
      .tls()
      .catch((cause: unknown) => Promise.reject(badCertificates('read', cause)))
    const { requireUsable } = await import('./certificates.ts')
    try {
      requireUsable(material)
    } catch (cause) {
      throw badCertificates('used', cause)
    }
    return material
  }

  get #dialMs(): number {
    return Math.min(DIAL_MS, this.#deadlineMs)
  }

  get #deadlineMs(): number {
    return this.#options.deadlineMs ?? DEADLINE_MS
  }
}

const bearing = (token: string | undefined): Readonly<Record<string, string>> =>
  token === undefined ? {} : { token }
