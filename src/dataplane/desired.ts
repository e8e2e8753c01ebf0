// What is wanted of one kind, by key, and by whom. Equal wishes of two sources are one, counted; of unequal ones one
// wins and the others are conflicts. Pure.
import type { Kind } from './kind.ts'

/** Who wants objects, e.g. `lease 10.1.2.0/24`. The smaller `since` is the older. */
export interface Source {
  readonly name: string
  readonly since: bigint
}

interface Claim<T> {
  readonly source: Source
  readonly object: T
}

/** One source's wish that can't come true because another's stands under the same key. */
export interface Conflict {
  readonly key: string
  readonly source: string
  readonly winner: string
}

export class Desired<T> {
  readonly #kind: Kind<T>
  /** Nearly every key has one claim, so only more of them cost an array. In the order they came. */
  readonly #claims = new Map<string, Claim<T> | Claim<T>[]>()
  readonly #links = new Map<string, number>()

  constructor(kind: Kind<T>) {
    this.#kind = kind
  }

  get size(): number {
    return this.#claims.size
  }

  keys(): IterableIterator<string> {
    return this.#claims.keys()
  }

  /** Adds a wish, or replaces this source's own under the same key. True if that may change what is wanted. */
  claim(key: string, source: Source, object: T): boolean {
    const claims = this.#claims.get(key)
    const claim = { source, object }
    this.#count(object, 1)
    if (claims === undefined) {
      this.#claims.set(key, claim)
      return true
    }
    const list = Array.isArray(claims) ? claims : [claims]
    const index = list.findIndex((c) => c.source.name === source.name)
    const previous = list[index]
    if (previous === undefined) {
      this.#claims.set(key, [...list, claim])
      return true
    }
    this.#count(previous.object, -1)
    if (list.length === 1) this.#claims.set(key, claim)
    else
      this.#claims.set(
        key,
        list.map((c) => (c === previous ? claim : c)),
      )
    return previous.source.since !== source.since || !this.#kind.same(object, previous.object)
  }

  /** Takes a source's wish away. True if there was one. */
  release(key: string, source: string): boolean {
    const claims = this.#claims.get(key)
    if (claims === undefined) return false
    const list = Array.isArray(claims) ? claims : [claims]
    const gone = list.find((c) => c.source.name === source)
    if (gone === undefined) return false
    this.#count(gone.object, -1)
    const left = list.filter((c) => c !== gone)
    const [only] = left
    if (only === undefined) this.#claims.delete(key)
    else this.#claims.set(key, left.length === 1 ? only : left)
    return true
  }

  #count(object: T, by: 1 | -1): void {
    const link = this.#kind.on(object)
    if (link === undefined) return
    const count = (this.#links.get(link) ?? 0) + by
    if (count === 0) this.#links.delete(link)
    else this.#links.set(link, count)
  }

  /** Whether anything wanted lives on this link. */
  uses(link: string): boolean {
    return this.#links.has(link)
  }

  /** The wish that counts: the one that `have` fulfils already, else the oldest source's, else the first. */
  winner(key: string, have: T | undefined): Claim<T> | undefined {
    const claims = this.#claims.get(key)
    if (claims === undefined || !Array.isArray(claims)) return claims
    const standing =
      have === undefined
        ? undefined
        : claims.find((c) => c.object === have || this.#kind.same(c.object, have))
    return standing ?? claims.reduce((best, c) => (c.source.since < best.source.since ? c : best))
  }

  /** The wish under this key that `have` fulfils to the letter. */
  fulfilled(key: string, have: T): Claim<T> | undefined {
    const claims = this.#claims.get(key)
    if (claims === undefined) return undefined
    if (!Array.isArray(claims)) return this.#kind.same(claims.object, have) ? claims : undefined
    return claims.find((c) => this.#kind.same(c.object, have))
  }

  isWanted(key: string): boolean {
    return this.#claims.has(key)
  }

  /** Names of those who want something under this key. */
  sources(key: string): readonly string[] {
    const claims = this.#claims.get(key)
    if (claims === undefined) return []
    return Array.isArray(claims) ? claims.map((claim) => claim.source.name) : [claims.source.name]
  }

  /** Whether several sources want something under this key. */
  isShared(key: string): boolean {
    return Array.isArray(this.#claims.get(key))
  }

  /** The wishes under this key that the winner leaves unfulfilled. */
  conflicts(key: string, have: T | undefined): Conflict[] {
    const claims = this.#claims.get(key)
    if (claims === undefined || !Array.isArray(claims)) return []
    const winner = this.winner(key, have)
    return claims
      .filter((c) => winner !== undefined && c !== winner && !this.#kind.same(winner.object, c.object))
      .map((c) => ({ key, source: c.source.name, winner: winner?.source.name ?? '' }))
  }
}
