// The endpoints of etcd, tried in turn: the one that answered last comes first, the next when it fails.
import { StoreError } from '../store.ts'
import { EtcdError, Status } from './error.ts'
import { Session, type DialOptions } from './session.ts'

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

  /** A connection to the first that takes one. Throws what each of them said, as one EtcdError. */
  async connect(options: DialOptions, signal: AbortSignal): Promise<Session> {
    const failures: EtcdError[] = []
    for (const _ of this.#all) {
      try {
        return await Session.dial(this.first, options, signal)
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        failures.push(error)
        this.advance()
      }
    }
    if (failures.length === 1 && failures[0] !== undefined) throw failures[0]
    const details = failures.map((failure, i) => `${this.#at(this.#next + i)} (${failure.detail})`).join(', ')
    throw new EtcdError(
      Status.unavailable,
      this.#all.join(','),
      'connecting',
      `no endpoint answers: ${details}`,
      {
        cause: new AggregateError(failures),
      },
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
