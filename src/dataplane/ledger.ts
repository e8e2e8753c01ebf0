// One kind's books: what is wanted, what the kernel has as far as we know, what must be looked at, and what failed.
import { setImmediate } from 'node:timers/promises'
import type { KernelObject, KindName } from '../model/kernel.ts'
import { Actual } from './actual.ts'
import type { Carrier, Change, Hint, Result } from './carrier.ts'
import { Desired, type Source } from './desired.ts'
import { changeFor } from './diff.ts'
import { driftOf } from './drift.ts'
import type { Kind, Ownership } from './kind.ts'
import type { Drift, Failure, KindReport } from './report.ts'
import { type Cause, type Ripple, ripple } from './ripple.ts'
import { type News, Told } from './told.ts'
import { Trouble } from './trouble.ts'

/** Kinds whose objects others may wait for. */
const AWAITED: ReadonlySet<KindName> = new Set(['link', 'nexthop'])
/** As many changes as are sent before notifications are read and others get their turn. */
const SLICE = 512

interface Keyed<T> {
  readonly key: string
  readonly change: Change<T>
}

export class Ledger<T extends KernelObject> {
  readonly kind: Kind<T>
  readonly trouble = new Trouble()
  /** Counted since the start. */
  readonly count = { puts: 0, removes: 0, repairs: 0, dumps: 0 }
  readonly #carrier: Carrier<T>
  readonly #scope: Ownership
  readonly #desired: Desired<T>
  readonly #actual: Actual<T>
  readonly #told = new Told()
  #dirty: Cause | undefined = 'ours'
  #hasLooked = false
  /** Keys to compare in the next round, and those of this one. */
  #touched = new Set<string>()
  #due = new Set<string>()
  /** Keys that somebody else changed under our hands. */
  readonly #broken = new Set<string>()

  constructor(kind: Kind<T>, carrier: Carrier<T>, scope: Ownership) {
    this.kind = kind
    this.#carrier = carrier
    this.#scope = scope
    this.#desired = new Desired(kind)
    this.#actual = new Actual(kind)
  }

  get isDirty(): boolean {
    return this.#dirty !== undefined
  }
  /** Whether there is anything to do in a round. */
  get isBusy(): boolean {
    return this.#dirty !== undefined || this.#touched.size > 0
  }

  /** The first cause stands: what follows from a change of ours is no repair. */
  mark(cause: Cause): void {
    this.#dirty ??= cause
  }
  touch(keys: Iterable<string>): void {
    for (const key of keys) this.#touched.add(key)
  }
  /** Everything of ours that nobody wants, but what is in trouble: that has its own pace. */
  touchUnwanted(): void {
    for (const key of this.#actual.keys())
      if (this.#desired.winner(key, undefined) === undefined && !this.trouble.has(key)) this.#touched.add(key)
  }
  /** Wishes that aren't as we believe the kernel to be, but those in trouble. */
  *#unfulfilled(): Generator<string> {
    for (const key of this.#desired.keys()) {
      const have = this.#actual.get(key)
      const claim = this.#desired.winner(key, have)
      if (claim === undefined || this.trouble.has(key)) continue
      if (changeFor(this.kind, claim.object, have) !== undefined) yield key
    }
  }

  // The casts below hold because the reconciler hands each object to the ledger of its kind.
  claim(source: Source, object: KernelObject): string {
    const key = this.kind.key(object as T)
    if (this.#desired.claim(key, source, object as T)) this.#touched.add(key)
    const have = this.#actual.get(key)
    // Equal objects need not be kept twice.
    if (have !== undefined && this.kind.same(object as T, have)) this.#actual.set(key, object as T)
    return key
  }
  release(source: string, object: KernelObject): void {
    const key = this.kind.key(object as T)
    if (this.#desired.release(key, source)) this.#touched.add(key)
  }
  keyOf(object: KernelObject): string {
    return this.kind.key(object as T)
  }

  /** Whether anything of this kind lives on the link. */
  isOn(link: string): boolean {
    if (this.#desired.uses(link)) return true
    if (!this.#scope.links.has(link)) return false
    for (const [, have] of this.#actual.entries()) if (this.kind.on(have) === link) return true
    return false
  }

  ready(signal: AbortSignal): Promise<boolean> {
    return this.#carrier.ready(signal)
  }
  /** Heeds all that has been heard until now. */
  hear(): Ripple {
    const all = ripple()
    for (const hint of this.#carrier.heard()) this.heed(hint, all)
    return all
  }

  /** Decides whether a hint is news; adds to `out` what it means for others. */
  heed(hint: Hint<T>, out: Ripple = ripple()): Ripple {
    if (hint.kind === 'everything') this.mark('theirs')
    else if (hint.kind === 'link') out.links.add(hint.link)
    else if (this.#isNews(hint)) {
      this.mark('theirs')
      this.#disturb(this.#actual.get(hint.key), hint.have, out)
    }
    return out
  }

  #isNews({ key, have, was }: Extract<Hint<T>, { kind: 'seen' }>): boolean {
    const believed = this.#actual.get(key)
    if (have === undefined)
      return believed !== undefined && (was === undefined || this.kind.same(believed, was))
    if (believed !== undefined) return !this.kind.same(believed, have)
    return this.#desired.winner(key, undefined) !== undefined || this.kind.ours(have, this.#scope) === 'ours'
  }

  #disturbedBy(change: Change<T>): readonly KindName[] {
    return this.kind.disturbs(change.have, change.op === 'put' ? change.want : undefined)
  }

  #disturb(before: T | undefined, after: T | undefined, out: Ripple): void {
    for (const kind of this.kind.disturbs(before, after)) out.kinds.add(kind)
  }

  /** Dumps the kind and takes that for the truth. Throws if it can't be read. */
  async look(signal: AbortSignal): Promise<{ readonly out: Ripple; readonly cause: Cause }> {
    const out = this.hear()
    const cause = this.#dirty ?? 'ours'
    const dump = await this.#carrier.dump(signal)
    this.#dirty = undefined
    this.count.dumps++
    const differences = this.#actual.absorb(dump, this.#desired, this.#scope)
    if (!this.#hasLooked) {
      this.#hasLooked = true
      this.touch(this.#desired.keys())
      this.touch(this.#actual.keys())
      return { out, cause }
    }
    for (const { key, before, after } of differences) {
      this.#touched.add(key)
      if (cause === 'theirs') this.#broken.add(key)
      this.#disturb(before, after, out)
    }
    if (cause === 'theirs') {
      for (const extra of this.#actual.extras) this.#broken.add(this.kind.key(extra))
      this.touch(this.#unfulfilled())
      this.touchUnwanted()
    }
    this.touch(this.trouble.blockedKeys())
    return { out, cause }
  }

  /** Puts what is wanted and not there. `ahead` is told before what the kernel may drop by itself with it. */
  async put(signal: AbortSignal, ahead: (kinds: Iterable<KindName>) => void = ignore): Promise<Ripple> {
    // With what an earlier round could not come to.
    this.#due = this.#due.union(this.#touched)
    this.#touched = new Set()
    const changes: Keyed<T>[] = []
    for (const key of this.#due) {
      const change = this.#putFor(key)
      if (change !== undefined) changes.push({ key, change })
    }
    return this.#apply(changes, signal, ahead)
  }

  #putFor(key: string): Change<T> | undefined {
    const have = this.#actual.get(key)
    const claim = this.#desired.winner(key, have)
    this.#told.conflicts(key, this.#desired.isShared(key) ? this.#desired.conflicts(key, have) : [])
    if (claim === undefined) return undefined
    this.#due.delete(key)
    const stray = this.#actual.strays.get(key)
    const before = have ?? (stray !== undefined && this.kind.adopts(claim.object, stray) ? stray : undefined)
    const change = changeFor(this.kind, claim.object, before)
    if (change !== undefined) return change
    this.#actual.set(key, claim.object)
    this.#fine(key)
    return undefined
  }

  /** Instead of `remove` before all is known that is wanted: unwanted keys come up again then. */
  holdRemovals(): void {
    for (const key of this.#due) this.trouble.clear(key)
    this.#due = new Set()
  }

  /** Removes what is there and not wanted, of the keys of this round. `ahead` as with `put`. */
  async remove(signal: AbortSignal, ahead: (kinds: Iterable<KindName>) => void = ignore): Promise<Ripple> {
    const changes: Keyed<T>[] = []
    for (const have of this.#actual.extras)
      changes.push({ key: this.kind.key(have), change: { op: 'remove', have } })
    this.#actual.forgetExtras()
    for (const key of this.#due) {
      const have = this.#actual.get(key)
      // Wanted again since this round began: the next one sees to it.
      if (this.#desired.winner(key, have) !== undefined) continue
      if (have === undefined) this.#fine(key)
      else changes.push({ key, change: { op: 'remove', have } })
    }
    this.#due = new Set()
    return this.#apply(changes, signal, ahead)
  }

  #fine(key: string): void {
    this.trouble.clear(key)
    this.#broken.delete(key)
  }

  async #apply(
    changes: readonly Keyed<T>[],
    signal: AbortSignal,
    ahead: (kinds: Iterable<KindName>) => void,
  ): Promise<Ripple> {
    const out = ripple()
    for (let from = 0; from < changes.length; from += SLICE) {
      if (from > 0) await setImmediate()
      signal.throwIfAborted()
      const slice = changes.slice(from, from + SLICE)
      for (const { change } of slice) {
        const kinds = this.#disturbedBy(change)
        if (kinds.length > 0) ahead(kinds)
      }
      try {
        const results = await this.#carrier.apply(
          slice.map(({ change }) => change),
          signal,
        )
        for (const [index, { key, change }] of slice.entries()) {
          const result = results[index]
          if (result !== undefined) this.#record(key, change, result, out)
        }
      } catch (error) {
        // The outcome is unknown: look before anything is tried again.
        for (const { key } of changes.slice(from)) this.#touched.add(key)
        this.mark('ours')
        throw error
      }
      for (const hint of this.#carrier.heard()) this.heed(hint, out)
    }
    for (const { key } of changes) if (!this.trouble.has(key)) this.#broken.delete(key)
    return out
  }

  #record(key: string, change: Change<T>, result: Result, out: Ripple): void {
    if (result.kind === 'failed') this.trouble.failed(key, result.reason, performance.now())
    else if (result.kind === 'blocked') this.trouble.isBlocked(key, result.on, result.reason)
    else {
      if (change.op === 'put') {
        this.#actual.set(key, change.want)
        this.count.puts++
        if (AWAITED.has(this.kind.name)) out.put.add(key)
      } else {
        if (this.#actual.get(key) === change.have) this.#actual.delete(key)
        this.count.removes++
      }
      if (this.#broken.has(key)) {
        this.count.repairs++
        this.#told.repaired(key, this.sourceOf(key))
      }
      this.trouble.clear(key)
    }
  }

  /** What has not been told yet: first failures, lost wishes, fights. */
  takeNews(): readonly News[] {
    const failed = this.trouble.takeNews()
    return [...failed.map((news) => ({ ...news, source: this.sourceOf(news.key) })), ...this.#told.take()]
  }

  /** Desired against a fresh dump. Changes nothing, not even what we believe. */
  async drift(signal: AbortSignal): Promise<Drift[]> {
    return driftOf(this.kind, await this.#carrier.dump(signal), this.#desired, this.#scope)
  }

  /** What failed, and wishes that lose against another source's under the same key. */
  failures(): Failure[] {
    const kind = this.kind.name
    const failed = [...this.trouble.entries()].flatMap(([key, { reason, tries, nextTryMs }]) => {
      if (nextTryMs === undefined) return []
      const nextTry = new Date(Date.now() + nextTryMs - performance.now())
      return [{ kind, key, source: this.sourceOf(key), reason, tries, nextTry }]
    })
    const denied = this.#told.denied().map((news) => ({ kind, ...news, tries: 0, nextTry: undefined }))
    return [...failed, ...denied]
  }
  /** Names of those who want the object under this key. */
  sourceOf(key: string): string {
    return this.#desired.winner(key, this.#actual.get(key))?.source.name ?? ''
  }

  report(): KindReport {
    return {
      wanted: this.#desired.size,
      ...this.count,
      failing: this.trouble.failing + this.#told.denied().length,
      blocked: this.trouble.blocked,
    }
  }
}

const ignore = (): void => undefined
