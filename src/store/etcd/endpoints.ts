// The endpoints of etcd, tried in turn: the one that answered last comes first, the next when it fails or says nothing.
import { StoreError } from '../store.ts'
import { EtcdError, Status } from './error.ts'
import { Session, type DialOptions } from './session.ts'

/** How long one endpoint may say nothing before the next is asked as well (RFC 8305 §5, and a TLS handshake). */
const HEAD_START_MS = 500

export class Endpoints {
  readonly #all: readonly string[]
  /** Index of the one to try first. */
  #next = 0

  /** Throws StoreError for endpoints that are none; `scheme` is that of those without one. */
  constructor(texts: readonly string[], scheme: 'http' | 'https') {
    this.#all = texts.map((text) => originOf(text, scheme))
    if (this.#all.length === 0)
      throw new StoreError('invalid', 'etcd needs at least one endpoint: write http://host:port')
  }

  /** Who would be asked first. */
  get first(): string {
    return this.#at(this.#next)
  }

  /** The first is the worse guess now. */
  advance(): void {
    this.#next = (this.#next + 1) % this.#all.length
  }

  /**
   * A connection to the first that takes one; whoever says nothing is not waited for, the next one is asked meanwhile.
   * Throws what each of them said, as one EtcdError.
   */
  async connect(options: DialOptions, signal: AbortSignal): Promise<Session> {
    const { promise, resolve, reject } = Promise.withResolvers<Session>()
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const count = this.#all.length
    const first = this.#next
    const failures = new Map<number, EtcdError>()
    let begun = 0
    let timer: NodeJS.Timeout | undefined
    const begin = () => {
      clearTimeout(timer)
      if (begun === count) return
      const index = (first + begun++) % count
      timer = setTimeout(begin, HEAD_START_MS)
      Session.dial(this.#at(index), options, either).then(
        (session) => {
          if (over.signal.aborted) return session[Symbol.dispose]()
          this.#next = index
          over.abort()
          resolve(session)
        },
        (error: unknown) => {
          if (!(error instanceof EtcdError)) return reject(error)
          failures.set(index, error)
          if (failures.size === count) reject(this.#nobody(failures))
          else begin()
        },
      )
    }
    begin()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      over.abort()
    }
  }

  #nobody(failures: ReadonlyMap<number, EtcdError>): EtcdError {
    const [only] = failures.size === 1 ? failures.values() : []
    if (only !== undefined) return only
    // In the order of the endpoints, whoever failed first: the same trouble is told in the same words.
    const inOrder = [...failures].sort(([a], [b]) => a - b)
    const details = inOrder.map(([index, { detail }]) => `${this.#at(index)} (${detail})`).join(', ')
    return new EtcdError(
      Status.unavailable,
      this.#all.join(','),
      'connecting',
      `no endpoint answers: ${details}`,
      { cause: new AggregateError(failures.values()) },
    )
  }

  #at(index: number): string {
    return this.#all[index % this.#all.length] ?? ''
  }
}

function originOf(endpoint: string, scheme: 'http' | 'https'): string {
  const url = URL.parse(endpoint.includes('://') ? endpoint : `${scheme}://${endpoint}`)
  if (url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '') return url.origin
  throw new StoreError('invalid', `${JSON.stringify(endpoint)} is no etcd endpoint: write http://host:port`)
}
