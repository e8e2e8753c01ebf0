// Tokens of those who have logged in, etcd's "simple" ones: kept in memory, good until nobody has used them for a while.
import { randomInt } from 'node:crypto'

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
/** 182 bits. */
const TOKEN_LETTERS = 32

interface Token {
  readonly user: string
  endMs: number
}

export class Tokens implements Disposable {
  readonly #ttlMs: number
  /** The one that ends next comes first: each use puts a token last. */
  readonly #tokens = new Map<string, Token>()
  #timer: NodeJS.Timeout | undefined

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs
  }

  assign(user: string): string {
    const letters = Array.from({ length: TOKEN_LETTERS }, () => LETTERS[randomInt(LETTERS.length)])
    // As in etcd there is a number behind the letters.
    const token = `${letters.join('')}.1`
    this.#tokens.set(token, { user, endMs: performance.now() + this.#ttlMs })
    this.#arm()
    return token
  }

  /** Whose it is, with its time beginning anew; undefined when it has ended or never was. */
  use(token: string): string | undefined {
    const found = this.#tokens.get(token)
    const now = performance.now()
    if (found === undefined || found.endMs <= now) return undefined
    found.endMs = now + this.#ttlMs
    this.#tokens.delete(token)
    this.#tokens.set(token, found)
    return found.user
  }

  forget(user: string): void {
    for (const [token, { user: owner }] of this.#tokens) {
      if (owner === user) this.#tokens.delete(token)
    }
  }

  clear(): void {
    this.#tokens.clear()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  [Symbol.dispose](): void {
    this.clear()
  }

  #arm(): void {
    const [next] = this.#tokens.values()
    if (this.#timer !== undefined || next === undefined) return
    const waitMs = Math.max(0, Math.ceil(next.endMs - performance.now()))
    this.#timer = setTimeout(() => this.#expire(), waitMs)
    this.#timer.unref()
  }

  #expire(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const [token, { endMs }] of this.#tokens) {
      if (endMs > now) break
      this.#tokens.delete(token)
    }
    this.#arm()
  }
}
