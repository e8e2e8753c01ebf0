// The way to etcd: several endpoints, one connection at a time, the next endpoint when it fails; and logging in.
import { Call, type Method } from './call.ts'
import { badCertificates, EtcdError, Status, unavailable, wantsLogin } from './error.ts'
import { StoreError } from '../store.ts'
import { authenticate } from './methods.ts'
import { Session, type TlsMaterial } from './session.ts'
import { untilAborted } from './wait.ts'

const DEADLINE_MS = 10_000
const DIAL_MS = 5_000

export interface ChannelOptions {
  /** `http://host:port` or `https://host:port`; `host:port` is one of those, by whether there is `tls`. */
  readonly endpoints: readonly string[]
  readonly user?: { readonly name: string; readonly password: string }
  /** Read anew for each connection. */
  readonly tls?: () => Promise<TlsMaterial>
  /** For one request; connecting gets at most 5 s of it. 10 s unless given. */
  readonly deadlineMs?: number
}

export class Channel implements Disposable {
  readonly #options: ChannelOptions
  readonly #endpoints: readonly string[]
  readonly #life = new AbortController()
  #session: Session | undefined
  #dialling: Promise<Session> | undefined
  /** Index of the endpoint to try first. */
  #next = 0
  #token: Promise<string> | undefined

  /** Throws StoreError for endpoints that are none. */
  constructor(options: ChannelOptions) {
    this.#options = options
    this.#endpoints = options.endpoints.map((text) => originOf(text, options.tls ? 'https' : 'http'))
    if (this.#endpoints.length === 0)
      throw new StoreError('invalid', 'etcd needs at least one endpoint: write http://host:port')
  }

  /** Who answers now, or would be asked first. */
  get endpoint(): string {
    return this.#session?.endpoint ?? this.#endpointAt(this.#next)
  }

  /** One request, one answer, within the deadline; of a stream, the last answer. Throws EtcdError, or the signal's reason. */
  async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      return await this.#unary(method, request, signal, await this.#metadata(signal))
    } catch (error) {
      if (this.#options.user === undefined || !wantsLogin(error)) throw error
      this.#token = undefined
      return this.#unary(method, request, signal, await this.#metadata(signal))
    }
  }

  /** A call that stays open until the caller, the server or the connection ends it. */
  async stream<Request, Response>(
    method: Method<Request, Response>,
    metadata: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Call<Request, Response>> {
    const own = await this.#metadata(signal)
    return new Call(await this.#connected(signal), method, { metadata: { ...own, ...metadata }, signal })
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

  async #unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal,
    metadata: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const session = await this.#connected(signal)
    using call = new Call(session, method, { metadata, deadlineMs: this.#deadlineMs, signal })
    call.send(request)
    call.end()
    let answer: Response | undefined
    for await (const one of call.messages()) answer = one
    return answer ?? Promise.reject(unavailable(session.endpoint, method.name, 'answered without a message'))
  }

  async #metadata(signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const user = this.#options.user
    if (user === undefined) return {}
    if (this.#token === undefined) {
      const token = this.#login(user)
      this.#token = token
      token.catch(() => {
        if (this.#token === token) this.#token = undefined
      })
    }
    return { token: await untilAborted(this.#token, signal) }
  }

  async #login(user: { readonly name: string; readonly password: string }): Promise<string> {
    const { token } = await this.#unary(authenticate, user, this.#life.signal, {})
    return token
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

  /** Each endpoint once, from the one after the last that failed. */
  async #dial(): Promise<Session> {
    const signal = this.#life.signal
    const failures: EtcdError[] = []
    const count = this.#endpoints.length
    // The one we had is gone or leaving: any other is the better guess.
    if (this.#session !== undefined) this.#next = (this.#next + 1) % count
    this.#session = undefined
    const tls = await this.#tls()
    for (let tried = 0; tried < count; tried++) {
      const endpoint = this.#endpointAt(this.#next)
      try {
        this.#session = await Session.dial(
          endpoint,
          { tls, withinMs: Math.min(DIAL_MS, this.#deadlineMs) },
          signal,
        )
        return this.#session
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        failures.push(error)
        this.#next = (this.#next + 1) % count
      }
    }
    if (failures.length === 1 && failures[0] !== undefined) throw failures[0]
    const details = failures.map((f, i) => `${this.#endpointAt(this.#next + i)} (${f.detail})`).join(', ')
    throw new EtcdError(
      Status.unavailable,
      this.#endpoints.join(','),
      'connecting',
      `no endpoint answers: ${details}`,
      { cause: new AggregateError(failures) },
    )
  }

  async #tls(): Promise<TlsMaterial | undefined> {
    try {
      return await this.#options.tls?.()
    } catch (cause) {
      throw badCertificates('read', cause)
    }
  }

  get #deadlineMs(): number {
    return this.#options.deadlineMs ?? DEADLINE_MS
  }

  #endpointAt(index: number): string {
    return this.#endpoints[index % this.#endpoints.length] ?? ''
  }
}

function originOf(endpoint: string, scheme: 'http' | 'https'): string {
  const url = URL.parse(endpoint.includes('://') ? endpoint : `${scheme}://${endpoint}`)
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '') return url.origin
  throw new StoreError('invalid', `${JSON.stringify(endpoint)} is no etcd endpoint: write http://host:port`)
}
