// Rounds over all kinds: dumps where something may have changed, puts in order, removals backwards; and what one
// kind's change means for others. One kind's trouble with the kernel is no other's.
import type { KernelObject, KindName } from '../model/kernel.ts'
import { log } from '../sys/log.ts'
import { heldBy } from './held.ts'
import type { Ledger } from './ledger.ts'
import { pauseMsAfter } from './pause.ts'
import { pluralOf, RepairLog } from './repair-log.ts'
import type { Failure } from './report.ts'
import type { Cause, Ripple } from './ripple.ts'

const logger = log.from('reconciler.ts')

/** News of one kind that are told apart in the log in one round. */
const MOST_TOLD = 3

/** A ledger whatever its kind: its own sort of object only matters inside it. */
export type AnyLedger = Omit<Ledger<KernelObject>, 'heed'> & {
  readonly kind: { readonly name: KindName; readonly after: readonly KindName[] }
}

/** A kind that couldn't be read or whose changes had an unknown outcome. */
interface Blind {
  readonly tries: number
  readonly reason: string
  readonly nextTryMs: number
}

/** Where the packet filter's rules can be. */
const RULES: readonly KindName[] = ['nft-table', 'iptables-chain']

export class Rounds {
  /** Each kind behind those it comes after. */
  readonly ledgers: readonly AnyLedger[]
  readonly #byKind: ReadonlyMap<KindName, AnyLedger>
  readonly #blind = new Map<KindName, Blind>()
  readonly #repairLog = new RepairLog()

  constructor(ledgers: readonly AnyLedger[]) {
    this.ledgers = inOrder(ledgers)
    this.#byKind = new Map(ledgers.map((ledger) => [ledger.kind.name, ledger]))
  }

  ledger(kind: KindName): AnyLedger {
    const ledger = this.#byKind.get(kind)
    if (ledger === undefined) throw new RangeError(`nobody carries objects of kind ${kind} here`)
    return ledger
  }

  /** Whether every kind could be read when it was tried last. */
  get canSee(): boolean {
    return this.#blind.size === 0
  }
  isBusy(nowMs: number): boolean {
    return this.ledgers.some((ledger) => ledger.isBusy && this.#mayTry(ledger, nowMs))
  }
  #mayTry(ledger: AnyLedger, nowMs: number): boolean {
    return (this.#blind.get(ledger.kind.name)?.nextTryMs ?? 0) <= nowMs
  }
  repairs(): number {
    return this.ledgers.reduce((sum, ledger) => sum + ledger.outcomes.count.repairs, 0)
  }

  /** Heeds all notifications that wait. */
  hear(): void {
    for (const ledger of this.ledgers) this.spread(ledger.hear(), 'theirs')
  }

  /** Touches what failed and is due again; false if there is nothing. */
  wakeDue(nowMs: number): boolean {
    let some = false
    for (const ledger of this.ledgers) {
      const due = this.#mayTry(ledger, nowMs) ? ledger.outcomes.trouble.due(nowMs) : []
      ledger.touch(due)
      some ||= due.length > 0
    }
    return some
  }
  /** When something that failed is due again, by performance.now(). */
  nextTryMs(): number {
    const times = this.ledgers.map(
      (ledger) =>
        this.#blind.get(ledger.kind.name)?.nextTryMs ?? ledger.outcomes.trouble.nextTryMs() ?? Infinity,
    )
    return Math.min(...times)
  }

  #markOurs(kinds: Iterable<KindName>): void {
    for (const kind of kinds) this.#byKind.get(kind)?.mark('ours')
  }

  spread({ kinds, links, put }: Ripple, cause: Cause): void {
    for (const kind of kinds) this.#byKind.get(kind)?.mark(cause)
    for (const link of links)
      for (const ledger of this.ledgers)
        if (ledger.isOn(link)) {
          ledger.mark(cause)
          ledger.retryOn(link)
        }
    if (put.size === 0) return
    for (const ledger of this.ledgers)
      if (ledger.outcomes.trouble.blocked > 0)
        for (const on of put) ledger.touch(ledger.outcomes.trouble.freed(on))
  }

  /** All puts in order, each acknowledged; then the removals backwards: nothing goes before its successor is in. */
  async round(mayRemove: boolean, signal: AbortSignal): Promise<void> {
    const started = performance.now()
    const repairs = this.ledgers.map(({ outcomes }) => outcomes.count.repairs)
    const seen = new Set<AnyLedger>()
    for (const ledger of this.ledgers)
      if (this.#mayTry(ledger, performance.now()))
        if (await this.#attempt(ledger, signal, () => this.#put(ledger, signal))) seen.add(ledger)
    for (const ledger of this.ledgers.toReversed()) {
      if (!mayRemove) ledger.holdRemovals()
      // Who can't read a kind doesn't know what is unwanted in it.
      if (!seen.has(ledger)) continue
      if (!mayRemove || (await this.#attempt(ledger, signal, () => this.#remove(ledger, signal))))
        this.#blind.delete(ledger.kind.name)
    }
    this.#repairLog.tell(
      this.ledgers.map(({ kind, outcomes }, i) => [kind.name, outcomes.count.repairs - (repairs[i] ?? 0)]),
      performance.now() - started,
    )
    this.#tellNews()
  }

  async #put(ledger: AnyLedger, signal: AbortSignal): Promise<void> {
    if (ledger.isDirty) {
      const { out, cause } = await ledger.look(signal)
      this.spread(out, cause)
    }
    // Told before the notifications of it come in, which would look like others' doing.
    const ahead = (kinds: Iterable<KindName>) => this.#markOurs(kinds)
    this.spread(await ledger.put(signal, ahead), 'ours')
  }

  async #remove(ledger: AnyLedger, signal: AbortSignal): Promise<void> {
    const areRoutesFine = this.#byKind.get('route')?.outcomes.trouble.size === 0
    // Routes went before their nexthops, unless one could not be moved away from its own.
    const isSafe = ledger.kind.name === 'nexthop' && areRoutesFine
    const ahead = (kinds: Iterable<KindName>) => this.#markOurs(isSafe ? [] : kinds)
    const held = this.#lacksRules(ledger)
      ? ledger.keys()
      : areRoutesFine
        ? undefined
        : heldBy(this.#byKind)[ledger.kind.name]
    this.spread(await ledger.remove(signal, ahead, held), 'ours')
  }

  /** Rules that go elsewhere from now on stay where they were until they are there: in between there would be none. */
  #lacksRules({ kind }: AnyLedger): boolean {
    return (
      RULES.includes(kind.name) &&
      RULES.some((name) => [...(this.#byKind.get(name)?.lacking() ?? [])].length > 0)
    )
  }

  /** False if the kind is blind now: it pauses, longer each time until a whole round of it has gone well. */
  async #attempt(ledger: AnyLedger, signal: AbortSignal, act: () => Promise<void>): Promise<boolean> {
    try {
      signal.throwIfAborted()
      await act()
      return true
    } catch (error) {
      if (signal.aborted) return false
      const kind = ledger.kind.name
      const reason = error instanceof Error ? error.message : String(error)
      const tries = (this.#blind.get(kind)?.tries ?? 0) + 1
      const pauseMs = pauseMsAfter(tries)
      this.#blind.set(kind, { tries, reason, nextTryMs: performance.now() + pauseMs })
      ledger.mark('theirs')
      logger.warning(
        `${pluralOf(kind)} are in an unknown state (${reason}); looking again in ${pauseMs} ms`,
        {
          key: `blind ${kind}`,
        },
      )
      return false
    }
  }

  #tellNews(): void {
    for (const ledger of this.ledgers) {
      const { name } = ledger.kind
      const news = ledger.outcomes.takeNews()
      for (const { key, source, reason } of news.slice(0, MOST_TOLD))
        logger.warning(`${name} ${key} (${source || 'to be removed'}): ${reason}`)
      if (news.length > MOST_TOLD)
        logger.warning(`${news.length - MOST_TOLD} more ${pluralOf(name)} are in trouble`, {
          key: `more ${name}`,
        })
    }
  }

  lacking(): ReadonlyMap<string, string | undefined> {
    const lacking = new Map<string, string | undefined>()
    for (const ledger of this.ledgers)
      for (const [source, reason] of ledger.lacking()) lacking.set(source, lacking.get(source) ?? reason)
    return lacking
  }

  failures(): ReadonlyMap<string, Failure> {
    const failures = new Map<string, Failure>()
    for (const ledger of this.ledgers)
      for (const failure of ledger.outcomes.failures()) {
        const { kind, key, source, nextTry } = failure
        // Of one key several sources may be denied their wish; the one that stands may fail besides.
        failures.set(nextTry === undefined ? `${kind} ${key} (${source})` : `${kind} ${key}`, failure)
      }
    for (const [kind, { reason, tries, nextTryMs }] of this.#blind) {
      const nextTry = new Date(Date.now() + nextTryMs - performance.now())
      failures.set(`${kind} *`, { kind, key: '*', source: '', reason, tries, nextTry })
    }
    return failures
  }
}

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
