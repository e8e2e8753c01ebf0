// The life of the store, as all our followers of it see it together: etcd's cluster id, and a revision that never
// went back. A wiped, restored or replaced store is a new history.
import type { Position } from './kv.ts'

/** What was known when a question was asked. */
export interface Mark {
  readonly name: string
  readonly revision: bigint
}

export class History {
  #clusterId: bigint | undefined
  #revision = 0n
  #incarnation = 0

  /** Changes when, and only when, the store has lost what it knew. */
  get name(): string {
    return `${this.#clusterId?.toString(16) ?? 'unknown'}.${this.#incarnation}`
  }

  /** To be taken before a question whose answer goes to `answered`. */
  mark(): Mark {
    return { name: this.name, revision: this.#revision }
  }

  /** A revision that the store has told. */
  seen(revision: bigint): void {
    if (revision > this.#revision) this.#revision = revision
  }

  /**
   * A linearizable answer to a question asked after `mark`: within one history it's from no earlier revision.
   * `forgot`: the store was found not to know what it knew. False if it can't be told which history the answer is
   * from, because another began meanwhile: ask again.
   */
  answered(mark: Mark, at: Position, forgot = false): boolean {
    if (this.#clusterId === undefined) this.#begin(at)
    else if (mark.name !== this.name) return at.clusterId === this.#clusterId && at.revision >= this.#revision
    else if (forgot || at.clusterId !== this.#clusterId || at.revision < mark.revision) {
      this.#incarnation++
      this.#begin(at)
    } else this.seen(at.revision)
    return true
  }

  #begin(at: Position): void {
    this.#clusterId = at.clusterId
    this.#revision = at.revision
  }
}
