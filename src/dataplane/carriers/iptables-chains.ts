// Chains of ours in iptables, of both flavours: looked at without a process, read by iptables-save only when they have
// changed, written in one transaction. Whoever holds the xtables lock keeps nothing else waiting.
import { setTimeout } from 'node:timers/promises'
import type { IptablesChain } from '../../model/kernel.ts'
import { Bell } from '../../sys/bell.ts'
import { log } from '../../sys/log.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { XtablesError } from '../../xtables/error.ts'
import { saveChains, saveTables } from '../../xtables/iptables.ts'
import { findTool } from '../../xtables/tools.ts'
import { blocked, type Carrier, type Change, type Hint, type Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { type Place, placeOf, toolName } from './iptables-place.ts'
import { IptablesSight } from './iptables-sight.ts'
import { type Seen, seenIn, unreadable } from './iptables-seen.ts'
import { IptablesJobs } from './iptables-jobs.ts'

const logger = log.from('iptables-chains.ts')

/** Legacy tables tell nobody of a change: looked at so often, as long as a chain of ours is in one. */
const POLL_MS = 500
/** A pause is so many times as long as the look before it: with tens of thousands of rules it costs 4 % of a core at most. */
const PAUSE_A_LOOK = 25
/** As long must it be quiet before it is read what changed: others write several times in a row. */
const QUIET_MS = 100
/** For so many times, then it is read all the same. */
const MOST_UNQUIET = 10
/** iptables-save waits for nobody: ten thousand rules take it less than a second. */
const SAVE_MS = 30_000

export class IptablesChains implements Carrier<IptablesChain>, Disposable {
  readonly #places: readonly Place[]
  readonly #namespace: Namespace | undefined
  readonly #sight: IptablesSight
  /** The last imprint of each place that was looked at. */
  readonly #looked = new Map<string, bigint | undefined>()
  /** What was read last, by place. */
  readonly #seen = new Map<string, Seen>()
  readonly #jobs: IptablesJobs
  /** Rung when there may be something else to poll, or to take. */
  readonly #bell = new Bell()
  /** Why everything must be looked at. */
  #hint: string | undefined
  #hasLooked = false
  #isToolMissingTold = false

  /** For chains of these names only (`legacy ipv4 nat FLANNEL-POSTRTG`), and what leads to them. */
  constructor(keys: Iterable<string>, namespace?: Namespace) {
    this.#places = [...keys].map(placeOf)
    this.#namespace = namespace
    this.#sight = new IptablesSight(namespace)
    this.#jobs = new IptablesJobs(
      {
        sight: this.#sight,
        namespace,
        recall: (place) => this.#seen.get(place.key),
        learn: (place, seen) => this.#learn(place, seen),
      },
      (tool) => this.#tell(`${tool} has ended`),
    )
  }

  async dump(signal: AbortSignal, witness?: Witness): Promise<readonly IptablesChain[]> {
    const imprints = this.#places.map((place) => ({ place, imprint: this.#sight.imprint(place) }))
    const hasNews = imprints.some(({ place, imprint }) => this.#looked.get(place.key) !== imprint)
    const fresh = imprints.flatMap(({ place, imprint }) => {
      this.#looked.set(place.key, imprint)
      if (imprint === undefined) this.#learn(place, undefined)
      return imprint === undefined || this.#seen.get(place.key)?.imprint === imprint
        ? []
        : [{ place, imprint }]
    })
    const groups = Map.groupBy(fresh, ({ place }) => toolName(place))
    await Promise.all([...groups.values()].map((group) => this.#read(group, signal)))
    // Whoever asked, those who wait for hints haven't been told.
    if (hasNews) this.#tell('tables of iptables have changed')
    witness?.add(() => imprints.every(({ place, imprint }) => this.#sight.imprint(place) === imprint))
    return [...this.#seen.values()].map(({ chain }) => chain)
  }

  /** Of one flavour and family. What can't be read because its tool is missing is nothing to see. */
  async #read(found: readonly { place: Place; imprint: bigint }[], signal: AbortSignal): Promise<void> {
    const [first] = found
    if (first === undefined) return
    const within = AbortSignal.any([signal, AbortSignal.timeout(SAVE_MS)])
    const tool = await findTool(first.place.flavour, first.place.family, within)
    if (tool === undefined) {
      for (const { place } of found) this.#learn(place, undefined)
      this.#tellMissing(first.place)
      return
    }
    for (const [table, chains] of Map.groupBy(found, ({ place }) => place.table)) {
      try {
        const names = chains.flatMap(({ place: { from, name } }) => [from, name])
        const saved =
          tool.flavour === 'nf_tables'
            ? await saveChains(
                tool,
                table,
                names,
                (name) => this.#sight.hasChain({ ...tool, table }, name),
                within,
                this.#namespace,
              )
            : (await saveTables(tool, [table], within, this.#namespace)).get(table)
        for (const { place, imprint } of chains) this.#learn(place, seenIn(saved, place, imprint))
      } catch (error) {
        signal.throwIfAborted()
        if (!within.aborted && !(error instanceof XtablesError)) throw error
        const why = within.aborted ? `${tool.main} takes more than ${SAVE_MS / 1000} s` : messageOf(error)
        const isForGood = error instanceof XtablesError && error.code === 'incompatible'
        for (const { place, imprint } of chains)
          this.#learn(place, unreadable(place, isForGood ? imprint : undefined, why))
      }
    }
  }

  #tellMissing(place: Place): void {
    if (this.#isToolMissingTold) return
    this.#isToolMissingTold = true
    logger.info(
      `chain ${place.name} is in table ${place.table} of ${toolName(place)}, which is not installed here: left alone`,
    )
  }

  #learn(place: Place, seen: Seen | undefined): void {
    const had = this.#seen.has(place.key)
    if (seen?.imprint !== undefined) this.#looked.set(place.key, seen.imprint)
    if (seen === undefined) this.#seen.delete(place.key)
    else this.#seen.set(place.key, seen)
    if (had !== (seen !== undefined)) this.#bell.ring()
  }

  #isNews(place: Place): boolean {
    return this.#sight.imprint(place) !== this.#looked.get(place.key)
  }

  async apply(changes: readonly Change<IptablesChain>[], signal: AbortSignal): Promise<readonly Result[]> {
    const groups = Map.groupBy(changes, (change) => toolName(change.op === 'put' ? change.want : change.have))
    const carried = await Promise.all(
      [...groups].map(async ([tool, group]) => {
        const results = await this.#jobs.carry(tool, group, signal)
        return group.map((change, index) => [change, results[index]] as const)
      }),
    )
    const results = new Map(carried.flat())
    return changes.map((change) => results.get(change) ?? blocked('iptables', 'it was not come to'))
  }

  #tell(hint: string): void {
    this.#hint = hint
    this.#bell.ring()
  }

  attend(): void {
    // Chains are on no link.
  }

  async ready(signal: AbortSignal): Promise<boolean> {
    if (this.#hasLooked && !(await isOver(QUIET_MS, signal))) return false
    this.#hasLooked = false
    const enough = new AbortController()
    const either = AbortSignal.any([signal, enough.signal])
    const waits = [this.#sight.nftablesChanged(either), this.#legacyChanged(either)]
    try {
      await Promise.race(waits)
    } finally {
      enough.abort()
      await Promise.allSettled(waits)
    }
    return !signal.aborted
  }

  /** Returns when a legacy table has changed and is quiet again, or when there is another hint; or when the signal aborts. */
  async #legacyChanged(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#hint === undefined) {
      const watched = this.#places.filter(({ flavour, key }) => flavour === 'legacy' && this.#seen.has(key))
      // A transaction of ours looks at what it did by itself.
      const isIdle = watched.length === 0 || this.#jobs.isBusy
      const began = performance.now()
      if (!isIdle && watched.some((place) => this.#isNews(place))) {
        await this.#quiet(watched, signal)
        this.#hint = 'tables of iptables-legacy have changed'
        return
      }
      const pauseMs = Math.max(POLL_MS, PAUSE_A_LOOK * (performance.now() - began))
      await this.#bell.wait(watched.length === 0 ? Infinity : pauseMs, signal)
    }
  }

  async #quiet(places: readonly Place[], signal: AbortSignal): Promise<void> {
    const look = () => places.map((place) => this.#sight.imprint(place))
    let before = look()
    for (let i = 0; i < MOST_UNQUIET && (await isOver(QUIET_MS, signal)); i++) {
      const now = look()
      if (now.every((imprint, index) => imprint === before[index])) return
      before = now
    }
  }

  heard(): readonly Hint<IptablesChain>[] {
    const hint = this.#hint
    this.#hint = undefined
    if (this.#sight.takeNftablesChange()) {
      this.#hasLooked = true
      const isNews = this.#places.some((place) => place.flavour === 'nf_tables' && this.#isNews(place))
      if (isNews) return [{ kind: 'everything', reason: 'tables of iptables-nft have changed' }]
    }
    return hint === undefined ? [] : [{ kind: 'everything', reason: hint }]
  }

  [Symbol.dispose](): void {
    this.#sight[Symbol.dispose]()
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** False once the signal has ended it. */
async function isOver(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await setTimeout(ms, undefined, { signal })
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
