// What one kind's next round has to compare, and the changes that follow from it: puts first, then removals. Pure.
import type { KernelObject } from '../model/kernel.ts'
import type { Actual } from './actual.ts'
import type { Change } from './carrier.ts'
import type { Desired } from './desired.ts'
import { changeFor } from './diff.ts'
import type { Kind } from './kind.ts'
import type { Outcomes } from './outcomes.ts'

export interface Keyed<T> {
  readonly key: string
  readonly change: Change<T>
}

export class Agenda<T extends KernelObject> {
  readonly #kind: Kind<T>
  readonly #desired: Desired<T>
  readonly #actual: Actual<T>
  readonly #outcomes: Outcomes<T>
  /** Keys to compare in the next round, and those of this one. */
  #touched = new Set<string>()
  #due = new Set<string>()

  constructor(kind: Kind<T>, desired: Desired<T>, actual: Actual<T>, outcomes: Outcomes<T>) {
    this.#kind = kind
    this.#desired = desired
    this.#actual = actual
    this.#outcomes = outcomes
  }

  get isEmpty(): boolean {
    return this.#touched.size === 0
  }

  /** Keys that are still to be compared. */
  *open(): Generator<string> {
    yield* this.#touched
    yield* this.#due
  }

  touch(keys: Iterable<string>): void {
    for (const key of keys) this.#touched.add(key)
  }
  /** All that is wanted or there. */
  touchAll(): void {
    this.touch(this.#desired.keys())
    this.touch(this.#actual.keys())
  }
  /** Everything of ours that nobody wants, but what is in trouble: that has its own pace. */
  touchUnwanted(): void {
    for (const key of this.#actual.keys())
      if (this.#desired.winner(key, undefined) === undefined && !this.#outcomes.trouble.has(key))
        this.#touched.add(key)
  }
  /** Wishes that aren't as we believe the kernel to be, but those in trouble. */
  touchUnfulfilled(): void {
    for (const key of this.#desired.keys()) {
      const have = this.#actual.get(key)
      const claim = this.#desired.winner(key, have)
      if (claim === undefined || this.#outcomes.trouble.has(key)) continue
      if (changeFor(this.#kind, claim.object, have) !== undefined) this.#touched.add(key)
    }
  }

  /** What is wanted and not there. What is unwanted waits for `removals`, or for `hold`. */
  puts(): Keyed<T>[] {
    // With what an earlier round could not come to.
    this.#due = this.#due.union(this.#touched)
    this.#touched = new Set()
    const changes: Keyed<T>[] = []
    for (const key of this.#due) {
      const change = this.#putFor(key)
      if (change !== undefined) changes.push({ key, change })
    }
    return changes
  }

  #putFor(key: string): Change<T> | undefined {
    const have = this.#actual.get(key)
    const claim = this.#desired.winner(key, have)
    this.#outcomes.told.conflicts(key, this.#desired.isShared(key) ? this.#desired.conflicts(key, have) : [])
    if (claim === undefined) return undefined
    this.#due.delete(key)
    const stray = this.#actual.strays.get(key)
    const before = have ?? (stray !== undefined && this.#kind.adopts(claim.object, stray) ? stray : undefined)
    const change = changeFor(this.#kind, claim.object, before)
    if (change !== undefined) return change
    this.#actual.set(key, claim.object)
    this.#outcomes.fine(key)
    return undefined
  }

  /** What is there and not wanted, of the keys of this round; those of `held` have to wait for a later one. */
  removals(held: ReadonlySet<string> = NONE): Keyed<T>[] {
    const changes: Keyed<T>[] = this.#actual.extras.map((have) => ({
      key: this.#kind.key(have),
      change: { op: 'remove', have },
    }))
    this.#actual.forgetExtras()
    for (const key of this.#due) {
      const have = this.#actual.get(key)
      // Wanted again since this round began: the next one sees to it.
      if (this.#desired.winner(key, have) !== undefined) continue
      if (have === undefined) this.#outcomes.fine(key)
      else if (!held.has(key)) changes.push({ key, change: { op: 'remove', have } })
    }
    this.#due = this.#due.intersection(held)
    return changes
  }

  /** Instead of `removals` before all is known that is wanted: unwanted keys come up again then. */
  hold(): void {
    for (const key of this.#due) this.#outcomes.trouble.clear(key)
    this.#due = new Set()
  }
}

const NONE: ReadonlySet<string> = new Set()
