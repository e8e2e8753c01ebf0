// One kind's books: what is wanted, what the kernel has as far as we know, whether it must be looked at, what failed.
import { setImmediate } from 'node:timers/promises'
import type { KernelObject, KindName } from '../model/kernel.ts'
import { Actual } from './actual.ts'
import { Agenda, type Keyed } from './agenda.ts'
import type { Carrier, Hint } from './carrier.ts'
import { Desired, type Source } from './desired.ts'
import { driftOf } from './drift.ts'
import type { Kind, Ownership } from './kind.ts'
import { isNews } from './news.ts'
import { Outcomes } from './outcomes.ts'
import type { Drift, KindReport } from './report.ts'
import { type Cause, type Ripple, ripple } from './ripple.ts'
import { Witness } from './witness.ts'

/** As many changes as are sent before notifications are read and others get their turn. */
const SLICE = 512

export class Ledger<T extends KernelObject> {
  readonly kind: Kind<T>
  readonly outcomes: Outcomes<T>
  readonly #carrier: Carrier<T>
  readonly #scope: Ownership
  readonly #desired: Desired<T>
  readonly #actual: Actual<T>
  readonly #agenda: Agenda<T>
  #dirty: Cause | undefined = 'ours'
  #hasLooked = false
  #isAuditDue = false
  /** Of an audit that found all as wanted, as long as nothing has been changed since. */
  #witness: Witness | undefined

  constructor(kind: Kind<T>, carrier: Carrier<T>, scope: Ownership) {
    this.kind = kind
    this.#carrier = carrier
    this.#scope = scope
    this.#desired = new Desired(kind)
    this.#actual = new Actual(kind)
    this.outcomes = new Outcomes(kind.name, this.#desired, this.#actual)
    this.#agenda = new Agenda(kind, this.#desired, this.#actual, this.outcomes)
  }

  /** Whether it must be looked at, or audited. */
  get isDirty(): boolean {
    return this.#dirty !== undefined || this.#isAuditDue
  }
  /** Whether there is anything to do in a round. */
  get isBusy(): boolean {
    return this.isDirty || !this.#agenda.isEmpty
  }

  /** The first cause stands: what follows from a change of ours is no repair. */
  mark(cause: Cause): void {
    this.#dirty ??= cause
  }
  /** As `mark` for others' sake; but where all was as wanted, and nothing has changed since, there is no need to look. */
  audit(): void {
    this.#isAuditDue = true
  }
  touch(keys: Iterable<string>): void {
    this.#agenda.touch(keys)
  }
  touchUnwanted(): void {
    this.#agenda.touchUnwanted()
  }

  // The casts below hold because the reconciler hands each object to the ledger of its kind.
  claim(source: Source, object: KernelObject): string {
    const key = this.kind.key(object as T)
    if (this.#desired.claim(key, source, object as T)) this.#agenda.touch([key])
    this.#carrier.wanted?.(object as T)
    const link = this.kind.on(object as T)
    if (link !== undefined) this.#carrier.attend(link)
    const have = this.#actual.get(key)
    // Equal objects need not be kept twice.
    if (have !== undefined && this.kind.same(object as T, have)) this.#actual.set(key, object as T)
    return key
  }
  release(source: string, object: KernelObject): void {
    const key = this.kind.key(object as T)
    if (this.#desired.release(key, source)) this.#agenda.touch([key])
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

  /** What was refused on this link, which has changed, is worth another try at once. */
  retryOn(link: string): void {
    this.#agenda.touch(this.outcomes.inTroubleOn(link, this.kind))
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
    if (hint.kind === 'everything') this.audit()
    else if (hint.kind === 'link') out.links.add(hint.link)
    else {
      // What stood in the way of one that was refused may be what has gone.
      if (hint.have === undefined && this.outcomes.trouble.has(hint.key)) this.#agenda.touch([hint.key])
      if (!isNews(hint, this.kind, this.#desired, this.#actual, this.#scope)) return out
      this.mark('theirs')
      this.#disturb(this.#actual.get(hint.key), hint.have, out)
    }
    return out
  }

  #disturb(before: T | undefined, after: T | undefined, out: Ripple): void {
    for (const kind of this.kind.disturbs(before, after)) out.kinds.add(kind)
  }

  /** Dumps the kind and takes that for the truth, unless an audit can do without. Throws if it can't be read. */
  async look(signal: AbortSignal): Promise<{ readonly out: Ripple; readonly cause: Cause }> {
    const out = this.hear()
    const cause = this.#dirty ?? 'theirs'
    if (this.#dirty === undefined && this.#isAsAudited()) {
      this.#isAuditDue = false
      this.outcomes.count.skips++
      return { out, cause }
    }
    this.#witness = undefined
    const witness = this.#isAuditDue ? new Witness() : undefined
    const dump = await this.#carrier.dump(signal, witness)
    this.#dirty = undefined
    this.#isAuditDue = false
    this.outcomes.count.dumps++
    const differences = this.#actual.absorb(dump, this.#desired, this.#scope)
    if (!this.#hasLooked) {
      this.#hasLooked = true
      this.#agenda.touchAll()
      return { out, cause }
    }
    for (const { key, before, after } of differences) {
      this.#agenda.touch([key])
      // What waits may have been carried out meanwhile: that is our own doing.
      if (cause === 'theirs' && !this.outcomes.trouble.waits(key)) this.outcomes.broken.add(key)
      this.#disturb(before, after, out)
    }
    if (cause === 'theirs') {
      for (const extra of this.#actual.extras) this.outcomes.broken.add(this.kind.key(extra))
      this.#agenda.touchUnfulfilled()
      this.#agenda.touchUnwanted()
      if (this.#isFine) this.#witness = witness
    }
    this.#agenda.touch(this.outcomes.trouble.blockedKeys())
    return { out, cause }
  }

  /** Whether nothing is left to do by what we know. */
  get #isFine(): boolean {
    return this.#agenda.isEmpty && this.outcomes.trouble.size === 0 && this.#actual.extras.length === 0
  }
  #isAsAudited(): boolean {
    return this.#witness !== undefined && this.#isFine && this.#witness.holds()
  }

  /** Puts what is wanted and not there. `ahead` is told before what the kernel may drop by itself with it. */
  async put(signal: AbortSignal, ahead: (kinds: Iterable<KindName>) => void = ignore): Promise<Ripple> {
    return this.#apply(this.#agenda.puts(), signal, ahead)
  }

  /** Instead of `remove` before all is known that is wanted. */
  holdRemovals(): void {
    this.#agenda.hold()
  }

  /** Removes what is there and not wanted, of the keys of this round, but not yet what is `held`. `ahead` as with `put`. */
  async remove(
    signal: AbortSignal,
    ahead: (kinds: Iterable<KindName>) => void = ignore,
    held?: ReadonlySet<string>,
  ): Promise<Ripple> {
    const extras = this.#actual.extras.map((extra) => this.kind.key(extra))
    const out = await this.#apply(this.#agenda.removals(held), signal, ahead)
    // Of two IPv6 routes the kernel removes the one through a nexthop object, whichever was meant.
    if (extras.length > 0 && !extras.some((key) => this.outcomes.trouble.has(key))) this.mark('ours')
    return out
  }

  /** Keys of what the kernel has of ours, as far as we know. */
  keys(): ReadonlySet<string> {
    return new Set(this.#actual.keys())
  }

  /** What the kernel has of ours under a key, as far as we know. */
  have(key: string): T | undefined {
    return this.#actual.get(key)
  }

  async #apply(
    changes: readonly Keyed<T>[],
    signal: AbortSignal,
    ahead: (kinds: Iterable<KindName>) => void,
  ): Promise<Ripple> {
    const out = ripple()
    if (changes.length > 0) this.#witness = undefined
    for (let from = 0; from < changes.length; from += SLICE) {
      if (from > 0) await setImmediate()
      signal.throwIfAborted()
      const slice = changes.slice(from, from + SLICE)
      for (const { change } of slice) {
        const kinds = this.kind.disturbs(change.have, change.op === 'put' ? change.want : undefined)
        if (kinds.length > 0) ahead(kinds)
      }
      try {
        const results = await this.#carrier.apply(
          slice.map(({ change }) => change),
          signal,
        )
        for (const [index, { key, change }] of slice.entries()) {
          const result = results[index]
          if (result !== undefined) this.outcomes.record(key, change, result, out)
        }
      } catch (error) {
        // The outcome is unknown: look before anything is tried again.
        this.#agenda.touch(changes.slice(from).map(({ key }) => key))
        this.mark('ours')
        throw error
      }
      for (const hint of this.#carrier.heard()) this.heed(hint, out)
    }
    for (const { key } of changes) if (!this.outcomes.trouble.has(key)) this.outcomes.broken.delete(key)
    return out
  }

  /** As Outcomes.lacking: sources with an object that isn't in the kernel as they want it, as far as we know. */
  lacking(): Iterable<readonly [source: string, reason: string | undefined]> {
    return this.outcomes.lacking(this.#agenda.open())
  }

  report(): KindReport {
    return this.outcomes.report(this.#agenda.open())
  }

  /** Desired against a fresh dump. Changes nothing, not even what we believe. */
  async drift(signal: AbortSignal): Promise<Drift[]> {
    return driftOf(this.kind, await this.#carrier.dump(signal), this.#desired, this.#scope)
  }
}

const ignore = (): void => undefined
