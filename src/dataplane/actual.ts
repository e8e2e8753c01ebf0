// What the kernel has of one kind and is ours, as last dumped, acknowledged or both. Pure.
import { differences, type Difference } from './diff.ts'
import type { Desired } from './desired.ts'
import type { Kind, Ownership } from './kind.ts'

export class Actual<T> {
  readonly #kind: Kind<T>
  #have = new Map<string, T>()
  #extras: readonly T[] = []
  #strays = new Map<string, T>()

  constructor(kind: Kind<T>) {
    this.#kind = kind
  }

  get(key: string): T | undefined {
    return this.#have.get(key)
  }
  set(key: string, have: T): void {
    this.#have.set(key, have)
  }
  delete(key: string): void {
    this.#have.delete(key)
  }
  entries(): IterableIterator<[string, T]> {
    return this.#have.entries()
  }
  keys(): IterableIterator<string> {
    return this.#have.keys()
  }

  /** All that is ours. */
  get size(): number {
    return this.#have.size + this.#extras.length
  }

  /** More of ours under a key than the one that counts: always too many. */
  get extras(): readonly T[] {
    return this.#extras
  }
  forgetExtras(): void {
    this.#extras = []
  }

  /** Objects that might be ours but for their mark, e.g. upstream's host-gw routes. Nobody removes them. */
  get strays(): ReadonlyMap<string, T> {
    return this.#strays
  }

  /** Takes a fresh dump for the truth; returns what is different from what we believed. */
  absorb(dump: readonly T[], desired: Desired<T>, scope: Ownership): Difference<T>[] {
    const before = this.#have
    const { have, extras, strays } = sort(this.#kind, dump, desired, scope)
    this.#have = have
    this.#extras = extras
    this.#strays = strays
    return differences(this.#kind, before, have)
  }
}

interface Sorted<T> {
  readonly have: Map<string, T>
  readonly extras: T[]
  readonly strays: Map<string, T>
}

/** Sorts a dump into ours and nearly ours; the rest is forgotten. Fulfilled wishes stand for their objects. */
export function sort<T>(kind: Kind<T>, dump: readonly T[], desired: Desired<T>, scope: Ownership): Sorted<T> {
  const have = new Map<string, T>()
  const extras: T[] = []
  const strays = new Map<string, T>()
  for (const object of dump) {
    const key = kind.key(object)
    const wish = desired.fulfilled(key, object)
    if (wish === undefined) {
      const ownership = kind.ours(object, scope)
      if (ownership === 'foreign') continue
      if (ownership === 'adopt') {
        const wanted = desired.winner(key, undefined)
        if (wanted === undefined || !kind.adopts(wanted.object, object)) {
          strays.set(key, object)
          continue
        }
      }
    }
    const other = have.get(key)
    if (other === undefined) have.set(key, wish?.object ?? object)
    else if (wish !== undefined && desired.fulfilled(key, other) === undefined) {
      extras.push(other)
      have.set(key, wish.object)
    } else extras.push(object)
  }
  return { have, extras, strays }
}
