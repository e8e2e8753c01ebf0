// Makes the kernel agree with what is wanted, for ever: the one writer of the data plane. Notifications, an audit a
// minute and every wish are the same to it: compare, and apply the difference.
import { setImmediate } from 'node:timers/promises'
import type { KernelObject } from '../model/kernel.ts'
import { Bell } from '../sys/bell.ts'
import { log } from '../sys/log.ts'
import { AuditClock } from './audit-clock.ts'
import { Budget } from './budget.ts'
import { Pace } from './pace.ts'
import { persist } from './pause.ts'
import type { Drift, Failure, Fight, Repair, Report } from './report.ts'
import { type AnyLedger, Rounds } from './rounds.ts'
import { pluralOf } from './repair-log.ts'
import { Waiters } from './waiters.ts'
import { Wishes } from './wishes.ts'

const logger = log.from('reconciler.ts')

/** Hints come in bursts (a flush is thousands): they are heeded together. */
const GATHER_MS = 3

interface ReconcilerOptions {
  readonly auditMs?: number
  readonly onRound?: (tookMs: number) => void
  /** Closed with the reconciler: the carriers' sockets. */
  readonly resources?: Disposable
}

export class Reconciler implements AsyncDisposable {
  readonly #rounds: Rounds
  readonly #wishes: Wishes
  readonly #bell = new Bell()
  readonly #stop = new AbortController()
  readonly #budget = new Budget(performance.now())
  readonly #pace = new Pace(performance.now())
  readonly #tasks: readonly Promise<void>[]
  readonly #resources: Disposable | undefined
  readonly #audits: AuditClock
  readonly #onRound: (tookMs: number) => void
  readonly #settled = new Waiters()
  #complete = false
  /** Something of ours waits: no gathering first. */
  #urgent = false
  #firstHintMs: number | undefined
  #roundCount = 0
  #lastRoundMs = 0
  #roundSinceMs: number | undefined
  #lastRoundAt: Date | undefined

  /** Starts at once. Nothing is removed before `complete()`. */
  constructor(ledgers: readonly AnyLedger[], options: ReconcilerOptions = {}) {
    this.#rounds = new Rounds(ledgers)
    this.#wishes = new Wishes((kind) => this.#rounds.ledger(kind))
    this.#resources = options.resources
    this.#audits = new AuditClock(options.auditMs)
    this.#onRound = options.onRound ?? (() => undefined)
    this.#tasks = [
      this.#supervised('reconciling', () => this.#run()),
      ...ledgers.map((ledger) =>
        this.#supervised(`hearing of changed ${pluralOf(ledger.kind.name)}`, () => this.#listen(ledger)),
      ),
    ]
  }

  /**
   * What `source` wants from now on, instead of what it wanted before. Where two sources want different objects under
   * one key, the one that is in the kernel stays, else that of the source with the least `since` (a lease's revision).
   */
  want(source: string, objects: readonly KernelObject[], since = 0n): void {
    this.#wishes.want({ name: source, since }, objects)
    this.#hurry()
  }

  /** `source` wants nothing any more. */
  forget(source: string): void {
    this.#wishes.forget(source)
    this.#hurry()
  }

  /** All that is wanted is known: from now on what is ours and unwanted is removed. Before, nothing ever is. */
  complete(): void {
    if (this.#complete) return
    this.#complete = true
    for (const ledger of this.#rounds.ledgers) ledger.touchUnwanted()
    this.#audits.start()
    this.#hurry()
  }

  /** Names of the sources that want something. */
  get sources(): IterableIterator<string> {
    return this.#wishes.sources()
  }

  /** Resolves once all that can be in the kernel is; what fails or is blocked is not waited for. Rejects on abort. */
  async settled(signal: AbortSignal): Promise<void> {
    const settled = this.#settled.wait(AbortSignal.any([signal, this.#stop.signal]))
    this.#bell.ring()
    await settled
  }

  /** Desired against a fresh dump of everything; changes nothing. */
  async drift(signal: AbortSignal = this.#stop.signal): Promise<readonly Drift[]> {
    const all: Drift[] = []
    for (const ledger of this.#rounds.ledgers) all.push(...(await ledger.drift(signal)))
    return all
  }

  /** What the kernel refused, by `kind key`, with the next try; and wishes that lost against another source's. */
  get failures(): ReadonlyMap<string, Failure> {
    return this.#rounds.failures()
  }

  /** Sources that haven't got all they want, and why; undefined where something hasn't been tried yet. */
  lacking(): ReadonlyMap<string, string | undefined> {
    return this.#rounds.lacking()
  }

  /** Objects that something else keeps changing, though they are put right each time. */
  get fights(): readonly Fight[] {
    return this.#rounds.ledgers.flatMap(({ outcomes }) => outcomes.fights())
  }

  /** The last repairs of each kind, the latest last. */
  get repairs(): readonly Repair[] {
    return this.#rounds.ledgers
      .flatMap(({ outcomes }) => outcomes.repairs)
      .sort((a, b) => a.at.getTime() - b.at.getTime())
  }

  report(): Report {
    const { ledgers } = this.#rounds
    return {
      complete: this.#complete,
      rounds: this.#roundCount,
      lastRoundAt: this.#lastRoundAt,
      lastRoundMs: this.#lastRoundMs,
      roundRunsMs: this.#roundSinceMs === undefined ? undefined : performance.now() - this.#roundSinceMs,
      repairs: this.#rounds.repairs(),
      kinds: Object.fromEntries(ledgers.map((ledger) => [ledger.kind.name, ledger.report()])),
    }
  }

  #hurry(): void {
    this.#pace.wished()
    // The round that is to come takes all along.
    if (this.#urgent) return
    this.#urgent = true
    this.#bell.ring()
  }

  /** Heeds one ledger's hints as they come. */
  async #listen(ledger: AnyLedger): Promise<void> {
    while (await ledger.ready(this.#stop.signal)) {
      // Its news may be another kind's: a link's change is news for all that lives on it.
      this.#rounds.spread(ledger.hear(), 'theirs')
      const now = performance.now()
      if (this.#firstHintMs !== undefined || !this.#rounds.isBusy(now)) continue
      this.#firstHintMs = now
      this.#bell.ring()
    }
  }

  /** What threw is run again; meanwhile anything may have changed unheard. */
  #supervised(what: string, act: () => Promise<void>): Promise<void> {
    return persist(act, this.#stop.signal, (error, pauseMs) => {
      logger.error(
        `${what} broke off (${String(error)}): again in ${pauseMs} ms, with a look at everything`,
        {
          key: what,
        },
      )
      for (const ledger of this.#rounds.ledgers) ledger.mark('theirs')
      this.#bell.ring()
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const now = performance.now()
      this.#wakeDue(now)
      if (!this.#isBusy(now)) {
        // Notifications that wait already belong to what is to be settled.
        this.#rounds.hear()
        if (!this.#isBusy(now)) {
          if (this.#rounds.canSee) this.#settled.release()
          this.#firstHintMs = undefined
          const next = Math.min(this.#audits.nextMs, this.#rounds.nextTryMs())
          await this.#bell.wait(Math.max(1, next - now), signal)
          continue
        }
      }
      const pause = this.#pauseMs(now)
      if (pause > 0) await this.#bell.wait(pause, signal)
      else await this.#round(signal)
    }
  }

  /** What failed and is due again, and the audit. */
  #wakeDue(now: number): void {
    if (this.#rounds.wakeDue(now)) this.#urgent = true
    if (!this.#audits.strikes(now)) return
    for (const ledger of this.#rounds.ledgers) ledger.audit()
  }

  #isBusy(now: number): boolean {
    return this.#urgent || this.#rounds.isBusy(now)
  }

  #pauseMs(now: number): number {
    if (this.#urgent) return this.#complete ? Math.ceil(this.#pace.waitMs(now)) : 0
    this.#firstHintMs ??= now - GATHER_MS
    return Math.ceil(
      Math.max(this.#firstHintMs + GATHER_MS - now, this.#budget.waitMs(now - this.#firstHintMs, now)),
    )
  }

  async #round(signal: AbortSignal): Promise<void> {
    // Wishes that come in one go are one round.
    await setImmediate()
    const healing = !this.#urgent
    this.#urgent = false
    this.#firstHintMs = undefined
    const started = performance.now()
    this.#roundSinceMs = started
    this.#pace.began(started)
    try {
      await this.#rounds.round(this.#complete, signal)
    } finally {
      this.#roundSinceMs = undefined
    }
    if (signal.aborted) return
    const ended = performance.now()
    this.#roundCount++
    this.#lastRoundMs = ended - started
    this.#lastRoundAt = new Date()
    this.#onRound(this.#lastRoundMs)
    if (healing) this.#budget.spend(this.#lastRoundMs, ended)
  }

  /** Stops; the kernel stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the reconciler is closed'))
    await Promise.all(this.#tasks)
    this.#resources?.[Symbol.dispose]()
  }
}
