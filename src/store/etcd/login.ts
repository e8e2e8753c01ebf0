// Who we are to etcd: a token for a user's password, fetched when first needed and again once it's refused. Simple
// tokens end after five minutes of silence or with a restart of etcd, others with their time or a change of rights.
import { EtcdError, isAuthOff } from './error.ts'
import { untilAborted } from './wait.ts'

export interface User {
  readonly name: string
  readonly password: string
}

/** etcd spends tens of milliseconds on each password: a refused one is held against it for so long, longer each time. */
const REFUSED_MS = 1_000
const REFUSED_MAX_MS = 30_000

export class Login {
  readonly #authenticate: () => Promise<string>
  /** Undefined of an etcd that asks for no user. */
  #token: Promise<string | undefined> | undefined
  #refused: { readonly error: EtcdError; readonly untilMs: number; readonly forMs: number } | undefined

  constructor(authenticate: () => Promise<string>) {
    this.#authenticate = authenticate
  }

  /** Callers that come together share one login. Throws EtcdError, code `auth` for a password that etcd refuses. */
  async token(signal: AbortSignal): Promise<string | undefined> {
    if (this.#token === undefined) {
      if (this.#refused !== undefined && performance.now() < this.#refused.untilMs) throw this.#refused.error
      const token = this.#fetch()
      this.#token = token
      token.catch(() => this.#drop(token))
    }
    return untilAborted(this.#token, signal)
  }

  /** That token (or none) is not enough: the next call logs in anew, unless that has been done meanwhile. */
  async refused(token: string | undefined): Promise<void> {
    const current = this.#token
    if (current !== undefined && (await current.catch(() => undefined)) === token) this.#drop(current)
  }

  #drop(token: Promise<string | undefined>): void {
    if (this.#token === token) this.#token = undefined
  }

  async #fetch(): Promise<string | undefined> {
    try {
      const token = await this.#authenticate()
      this.#refused = undefined
      return token
    } catch (error) {
      if (isAuthOff(error)) return undefined
      if (error instanceof EtcdError && error.code === 'auth') {
        const forMs = Math.min((this.#refused?.forMs ?? REFUSED_MS / 2) * 2, REFUSED_MAX_MS)
        this.#refused = { error, untilMs: performance.now() + forMs, forMs }
      }
      throw error
    }
  }
}
