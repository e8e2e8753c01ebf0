// Makes the kernel agree with what is wanted, for ever: the one writer of the data plane. Notifications, an audit a
// minute and every wish are the same to it: compare, and apply the difference.
import { setImmediate } from 'node:timers/promises'
import type { KernelObject, KindName } from '../model/kernel.ts'
import { log } from '../sys/log.ts'
import { Bell } from './bell.ts'
import { Budget } from './budget.ts'
import type { Source } from './desired.ts'
import { type Cause, Ledger, type Ripple } from './ledger.ts'
import type { Drift, Failure, Report } from './report.ts'

const logger = log.from('reconciler.ts')

/** Hints come in bursts (a flush is thousands): they are heeded together. */
const GATHER_MS = 3
const AUDIT_MS = 60_000
/** The audits of many hosts that started together drift apart. */
const AUDIT_JITTER = 0.2
const FIRST_BLIND_PAUSE_MS = 100
const LONGEST_BLIND_PAUSE_MS = 30_000
/** Failures of one kind that are told apart in the log in one round. */
const MOST_TOLD = 3

// A ledger's own kind of object only matters inside it.
type AnyLedger = Omit<Ledger<KernelObject>, 'heed' | 'hints'> & {
  readonly kind: { readonly name: KindName; readonly after: readonly KindName[] }
}
interface Blind {
  readonly tries: number
  readonly reason: string
  readonly nextTryMs: number
}
interface Wish {
  readonly source: Source
  readonly objects: readonly KernelObject[]
}

export interface ReconcilerOptions {
  readonly auditMs?: number
  /** Closed with the reconciler: the carriers' sockets. */
  readonly resources?: Disposable
}

export class Reconciler implements AsyncDisposable {
  readonly #ledgers: readonly AnyLedger[]
  readonly #byKind: ReadonlyMap<KindName, AnyLedger>
  readonly #wishes = new Map<string, Wish>()
  readonly #blind = new Map<KindName, Blind>()
  readonly #bell = new Bell()
  readonly #stop = new AbortController()
  readonly #budget = new Budget(performance.now())
  readonly #tasks: readonly Promise<void>[]
  readonly #resources: Disposable | undefined
  readonly #auditMs: number
  #settled: (() => void)[] = []
  #complete = false
  /** Something of ours waits: no gathering first. */
  #urgent = false
  #firstHintMs: number | undefined
  #nextAuditMs = Infinity
  #rounds = 0
  #lastRoundMs = 0
  #lastRoundAt: Date | undefined

  /** Starts at once. Nothing is removed before `complete()`. */
  constructor(ledgers: readonly AnyLedger[], options: ReconcilerOptions = {}) {
    this.#ledgers = inOrder(ledgers)
    this.#byKind = new Map(ledgers.map((ledger) => [ledger.kind.name, ledger]))
    this.#resources = options.resources
    this.#auditMs = options.auditMs ?? AUDIT_MS
    this.#scheduleAudit()
    this.#tasks = [this.#run(), ...this.#ledgers.map((ledger) => this.#listen(ledger))]
  }

  /**
   * What `source` wants from now on, instead of what it wanted before. Where two sources want different objects under
   * one key, the one that is in the kernel stays, else that of the source with the least `since` (a lease's revision).
   */
  want(source: string, objects: readonly KernelObject[], since = 0n): void {
    const before = this.#wishes.get(source)
    const who = { name: source, since }
    const kept = new Set<string>()
    for (const object of objects) kept.add(`${object.kind} ${this.#ledger(object.kind).claim(who, object)}`)
    this.#wishes.set(source, { source: who, objects })
    for (const object of before?.objects ?? []) {
      const ledger = this.#ledger(object.kind)
      if (!kept.has(`${object.kind} ${ledger.keyOf(object)}`)) ledger.release(source, object)
    }
    this.#hurry()
  }

  /** `source` wants nothing any more. */
  forget(source: string): void {
    for (const object of this.#wishes.get(source)?.objects ?? [])
      this.#ledger(object.kind).release(source, object)
    this.#wishes.delete(source)
    this.#hurry()
  }

  /** All that is wanted is known: from now on what is ours and unwanted is removed. Before, nothing ever is. */
  complete(): void {
    if (this.#complete) return
    this.#complete = true
    for (const ledger of this.#ledgers) ledger.touchUnwanted()
    this.#hurry()
  }

  /** Names of the sources that want something. */
  get sources(): IterableIterator<string> {
    return this.#wishes.keys()
  }

  /** Resolves once all that can be in the kernel is; what fails or is blocked is not waited for. Rejects on abort. */
  async settled(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#stop.signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const either = AbortSignal.any([signal, this.#stop.signal])
    const abort = () => reject(either.reason as Error)
    either.addEventListener('abort', abort, { once: true })
    this.#settled.push(resolve)
    this.#bell.ring()
    try {
      await promise
    } finally {
      either.removeEventListener('abort', abort)
      this.#settled = this.#settled.filter((waiter) => waiter !== resolve)
    }
  }

  /** Desired against a fresh dump of everything; changes nothing. */
  async drift(signal: AbortSignal = this.#stop.signal): Promise<readonly Drift[]> {
    const all: Drift[] = []
    for (const ledger of this.#ledgers) all.push(...(await ledger.drift(signal)))
    return all
  }

  /** What the kernel refused, by `kind key`, with the next try; and wishes that lost against another source's. */
  get failures(): ReadonlyMap<string, Failure> {
    const failures = new Map<string, Failure>()
    for (const ledger of this.#ledgers) {
      const kind = ledger.kind.name
      for (const [key, { reason, tries, nextTryMs }] of ledger.trouble.entries())
        if (nextTryMs !== undefined)
          failures.set(`${kind} ${key}`, {
            kind,
            key,
            source: ledger.sourceOf(key),
            reason,
            tries,
            nextTry: dateOf(nextTryMs),
          })
      for (const { key, source, winner } of ledger.conflicts())
        failures.set(`${kind} ${key} (${source})`, {
          kind,
          key,
          source,
          reason: `${winner} has it already, with other content: two hosts must not share it`,
          tries: 0,
          nextTry: undefined,
        })
    }
    for (const [kind, { reason, tries, nextTryMs }] of this.#blind)
      failures.set(`${kind} *`, { kind, key: '*', source: '', reason, tries, nextTry: dateOf(nextTryMs) })
    return failures
  }

  report(): Report {
    const kinds = Object.fromEntries(this.#ledgers.map((ledger) => [ledger.kind.name, ledger.report()]))
    return {
      complete: this.#complete,
      rounds: this.#rounds,
      lastRoundAt: this.#lastRoundAt,
      lastRoundMs: this.#lastRoundMs,
      repairs: this.#repairs(),
      kinds,
    }
  }

  #repairs(): number {
    return this.#ledgers.reduce((sum, ledger) => sum + ledger.count.repairs, 0)
  }

  #ledger(kind: KindName): AnyLedger {
    const ledger = this.#byKind.get(kind)
    if (ledger === undefined) throw new RangeError(`nobody carries objects of kind ${kind} here`)
    return ledger
  }

  #hurry(): void {
    this.#urgent = true
    this.#bell.ring()
  }

  #scheduleAudit(): void {
    this.#nextAuditMs = performance.now() + this.#auditMs * (1 + AUDIT_JITTER * (Math.random() - 0.5))
  }

  /** Heeds one ledger's hints as they come. */
  async #listen(ledger: AnyLedger): Promise<void> {
    const { signal } = this.#stop
    try {
      for await (const heard of (ledger as Ledger<KernelObject>).hints(signal)) {
        this.#spread((ledger as Ledger<KernelObject>).heed(heard), 'theirs')
        if (!this.#ledgers.some((each) => each.isDirty)) continue
        this.#firstHintMs ??= performance.now()
        this.#bell.ring()
      }
    } catch (error) {
      if (signal.aborted) return
      logger.error(
        `can't hear of changes to ${ledger.kind.name}s any more (${String(error)}): only the audit every ${this.#auditMs / 1000} s finds them; restart flanneld`,
      )
    }
  }

  #spread({ kinds, links, put }: Ripple, cause: Cause): void {
    for (const kind of kinds) this.#byKind.get(kind)?.mark(cause)
    for (const link of links) for (const ledger of this.#ledgers) if (ledger.isOn(link)) ledger.mark(cause)
    if (put.size === 0) return
    for (const ledger of this.#ledgers)
      if (ledger.trouble.blocked > 0) for (const on of put) ledger.touch(ledger.trouble.freed(on))
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const now = performance.now()
      this.#wakeDue(now)
      if (!this.#isBusy(now)) {
        // Notifications that wait already belong to what is to be settled.
        for (const ledger of this.#ledgers) this.#spread(ledger.hear(), 'theirs')
        if (!this.#isBusy(now)) {
          this.#announceSettled()
          await this.#bell.wait(Math.max(1, this.#nextTimeMs() - now), signal)
          continue
        }
      }
      const pause = this.#pauseMs(now)
      if (pause > 0) {
        await this.#bell.wait(pause, signal)
        continue
      }
      // Wishes that come in one go are one round.
      await setImmediate()
      const healing = !this.#urgent
      this.#urgent = false
      this.#firstHintMs = undefined
      await this.#round(signal)
      const spent = performance.now()
      if (healing) this.#budget.spend(this.#lastRoundMs, spent)
    }
  }

  #pauseMs(now: number): number {
    if (this.#urgent) return 0
    this.#firstHintMs ??= now - GATHER_MS
    return Math.ceil(Math.max(this.#firstHintMs + GATHER_MS - now, this.#budget.waitMs(now)))
  }

  /** What failed and is due again, and the audit. */
  #wakeDue(now: number): void {
    for (const ledger of this.#ledgers) {
      const due = ledger.trouble.due(now)
      if (due.length > 0) {
        ledger.touch(due)
        this.#urgent = true
      }
    }
    if (now < this.#nextAuditMs) return
    this.#scheduleAudit()
    for (const ledger of this.#ledgers) ledger.mark('theirs')
  }

  #isBusy(now: number): boolean {
    return (
      this.#urgent ||
      this.#ledgers.some(
        (ledger) => ledger.isBusy && (this.#blind.get(ledger.kind.name)?.nextTryMs ?? 0) <= now,
      )
    )
  }

  #nextTimeMs(): number {
    let next = this.#nextAuditMs
    for (const ledger of this.#ledgers) next = Math.min(next, ledger.trouble.nextTryMs() ?? Infinity)
    for (const { nextTryMs } of this.#blind.values()) next = Math.min(next, nextTryMs)
    return next
  }

  #announceSettled(): void {
    if (this.#blind.size > 0) return
    for (const waiter of this.#settled) waiter()
    this.#settled = []
  }

  /** All puts in order, each acknowledged; then the removals backwards: nothing goes before its successor is in. */
  async #round(signal: AbortSignal): Promise<void> {
    const started = performance.now()
    const repairs = this.#repairs()
    this.#rounds++
    for (const ledger of this.#ledgers) await this.#attempt(ledger, () => this.#lookAndPut(ledger, signal))
    if (this.#complete)
      for (const ledger of this.#ledgers.toReversed()) {
        // Whoever can't read a kind knows nothing of what is unwanted in it.
        if (!this.#blind.has(ledger.kind.name))
          await this.#attempt(ledger, () => this.#remove(ledger, signal))
      }
    if (signal.aborted) return
    this.#lastRoundMs = performance.now() - started
    this.#lastRoundAt = new Date()
    this.#tell(repairs)
  }

  async #lookAndPut(ledger: AnyLedger, signal: AbortSignal): Promise<void> {
    const blind = this.#blind.get(ledger.kind.name)
    if (blind !== undefined && blind.nextTryMs > performance.now()) return
    if (ledger.isDirty) {
      const { out, cause } = await ledger.look(signal)
      this.#spread(out, cause)
    }
    this.#blind.delete(ledger.kind.name)
    this.#spread(await ledger.put(signal), 'ours')
  }

  async #remove(ledger: AnyLedger, signal: AbortSignal): Promise<void> {
    const ripple = await ledger.remove(signal)
    // Routes went before their nexthops; unless one could not be moved away from its own.
    if (ledger.kind.name === 'nexthop' && this.#byKind.get('route')?.trouble.size === 0)
      ripple.kinds.delete('route')
    this.#spread(ripple, 'ours')
    if (ripple.kinds.size > 0) this.#urgent = true
  }

  /** One kind's trouble with the kernel is no other's. */
  async #attempt(ledger: AnyLedger, act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const kind = ledger.kind.name
      const reason = error instanceof Error ? error.message : String(error)
      const tries = (this.#blind.get(kind)?.tries ?? 0) + 1
      const pause = Math.min(FIRST_BLIND_PAUSE_MS * 2 ** (tries - 1), LONGEST_BLIND_PAUSE_MS)
      this.#blind.set(kind, { tries, reason, nextTryMs: performance.now() + pause })
      ledger.mark('theirs')
      logger.warning(`${kind}s are in an unknown state (${reason}); looking again in ${pause} ms`, {
        key: `blind ${kind}`,
      })
    }
  }

  #tell(repairsBefore: number): void {
    const repaired = this.#repairs() - repairsBefore
    if (repaired > 0) {
      const objects = repaired === 1 ? 'one kernel object' : `${repaired} kernel objects`
      logger.info(`repaired ${objects} that others had changed or removed`, { key: 'repaired' })
    }
    for (const ledger of this.#ledgers) {
      const fresh = ledger.trouble.takeNews()
      for (const { key, reason } of fresh.slice(0, MOST_TOLD))
        logger.warning(`${ledger.kind.name} ${key} (${ledger.sourceOf(key) || 'to be removed'}): ${reason}`)
      if (fresh.length > MOST_TOLD)
        logger.warning(`${fresh.length - MOST_TOLD} more ${ledger.kind.name}s failed`, {
          key: `more ${ledger.kind.name}`,
        })
    }
  }

  /** Stops; the kernel stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the reconciler is closed'))
    await Promise.all(this.#tasks)
    this.#resources?.[Symbol.dispose]()
  }
}

const dateOf = (ms: number): Date => new Date(Date.now() + ms - performance.now())

/** Each kind behind those it comes after. */
function inOrder(ledgers: readonly AnyLedger[]): AnyLedger[] {
  const ordered: AnyLedger[] = []
  const visit = (ledger: AnyLedger): void => {
    if (ordered.includes(ledger)) return
    for (const before of ledgers) if (ledger.kind.after.includes(before.kind.name)) visit(before)
    ordered.push(ledger)
  }
  for (const ledger of ledgers) visit(ledger)
  return ordered
}
