// What became of one kind's changes: counted, taken for the truth where they are done, told and tried again where not.
import type { KernelObject, KindName } from '../model/kernel.ts'
import { log } from '../sys/log.ts'
import type { Actual } from './actual.ts'
import type { Change, Result } from './carrier.ts'
import type { Desired } from './desired.ts'
import type { Kind } from './kind.ts'
import type { Failure, Fight, KindReport, Repair } from './report.ts'
import type { Ripple } from './ripple.ts'
import { type News, Told } from './told.ts'
import { Trouble } from './trouble.ts'

const logger = log.from('reconciler.ts')

/** Kinds whose objects others may wait for. */
const AWAITED: ReadonlySet<KindName> = new Set(['link', 'nexthop'])
/** Repairs of one kind that are remembered one by one. */
const MOST_REMEMBERED = 32

export class Outcomes<T extends KernelObject> {
  readonly trouble = new Trouble()
  readonly told = new Told()
  /** Since the start. */
  readonly count = { puts: 0, removes: 0, repairs: 0, dumps: 0, skips: 0 }
  /** Keys that somebody else changed under our hands: their next change is a repair. */
  readonly broken = new Set<string>()
  /** The last of them, the oldest first. */
  readonly repairs: Repair[] = []
  readonly #kind: KindName
  readonly #desired: Desired<T>
  readonly #actual: Actual<T>

  constructor(kind: KindName, desired: Desired<T>, actual: Actual<T>) {
    this.#kind = kind
    this.#desired = desired
    this.#actual = actual
  }

  /** One change's result; adds to `out` what it means for others. */
  record(key: string, change: Change<T>, result: Result, out: Ripple): void {
    if (logger.isVerbose(4))
      logger.debug(4, `${change.op} ${this.#kind} ${key}: ${result.kind === 'done' ? 'done' : result.reason}`)
    if (result.kind === 'failed') this.trouble.failed(key, result.reason, performance.now())
    else if (result.kind === 'blocked') this.trouble.isBlocked(key, result.on, result.reason)
    else {
      if (change.op === 'put') {
        this.#actual.set(key, change.want)
        this.count.puts++
        if (AWAITED.has(this.#kind)) out.put.add(key)
      } else {
        if (this.#actual.get(key) === change.have) this.#actual.delete(key)
        this.count.removes++
      }
      if (this.broken.has(key)) {
        this.#repaired(key)
      }
      this.trouble.clear(key)
    }
  }

  #repaired(key: string): void {
    const number = ++this.count.repairs
    this.repairs.push({ kind: this.#kind, key, number, at: new Date() })
    if (this.repairs.length > MOST_REMEMBERED) this.repairs.shift()
    this.told.repaired(key, this.#sourceOf(key))
  }

  /** What could be neither changed to what is wanted instead, nor removed. */
  *stuck(): Generator<T> {
    for (const [key] of this.trouble.entries()) {
      const have = this.#actual.get(key)
      if (have !== undefined) yield have
    }
  }

  /** Keys of what is in trouble and lives on this link, or is to. */
  *inTroubleOn(link: string, kind: Pick<Kind<T>, 'on'>): Generator<string> {
    for (const [key] of this.trouble.entries()) {
      const object = this.#desired.winner(key, undefined)?.object ?? this.#actual.get(key)
      if (object !== undefined && kind.on(object) === link) yield key
    }
  }

  /** Nothing is to be done about this key. */
  fine(key: string): void {
    // What was waited for has come: a carrier went on with it after its round.
    if (this.trouble.waits(key) && this.broken.has(key)) this.#repaired(key)
    this.trouble.clear(key)
    this.broken.delete(key)
  }

  /** Names of those who want the object under this key. */
  #sourceOf(key: string): string {
    return this.#desired.winner(key, this.#actual.get(key))?.source.name ?? ''
  }

  /** What has not been told yet: first failures, lost wishes, fights. */
  takeNews(): readonly News[] {
    const failed = this.trouble.takeNews()
    return [...failed.map((news) => ({ ...news, source: this.#sourceOf(news.key) })), ...this.told.take()]
  }

  /** What failed, and wishes that lose against another source's under the same key. */
  failures(): Failure[] {
    const kind = this.#kind
    const failed = [...this.trouble.entries()].flatMap(([key, { reason, tries, nextTryMs }]) => {
      if (nextTryMs === undefined) return []
      const nextTry = new Date(Date.now() + nextTryMs - performance.now())
      return [{ kind, key, source: this.#sourceOf(key), reason, tries, nextTry }]
    })
    const denied = this.told.denied().map((news) => ({ kind, ...news, tries: 0, nextTry: undefined }))
    return [...failed, ...denied]
  }

  /** Objects that something else keeps changing. */
  fights(): Fight[] {
    return this.told.fights().map((key) => ({ kind: this.#kind, key, source: this.#sourceOf(key) }))
  }

  /** Sources that lack something, and why: undefined for `open` keys, which haven't been tried yet. */
  *lacking(open: Iterable<string>): Generator<readonly [source: string, reason: string | undefined]> {
    for (const key of open) for (const source of this.#desired.sources(key)) yield [source, undefined]
    for (const [key, { reason }] of this.trouble.entries())
      for (const source of this.#desired.sources(key)) yield [source, `${this.#kind} ${key}: ${reason}`]
    for (const { key, source, reason } of this.told.denied())
      yield [source, `${this.#kind} ${key}: ${reason}`]
  }

  /** `open`: keys that are still to be compared. */
  report(open: Iterable<string>): KindReport {
    const lacking = new Set(open)
    for (const [key] of this.trouble.entries()) lacking.add(key)
    let programmed = this.#desired.size
    for (const key of lacking) if (this.#desired.isWanted(key)) programmed--
    return {
      wanted: this.#desired.size,
      actual: this.#actual.size,
      programmed,
      ...this.count,
      failing: this.trouble.failing + this.told.denied().length,
      blocked: this.trouble.blocked,
    }
  }
}
