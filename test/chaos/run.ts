// A run: faults from a seed until the time is up, a measure of how soon each is healed, packets counted throughout.
import { setTimeout as pause } from 'node:timers/promises'
import { generator } from '../../bench/measure.ts'
import type { EtcdKind } from '../support/etcd.ts'
import type { Moment } from './faults/fault.ts'
import { FAULTS } from './faults/list.ts'
import type { Gap } from './flow.ts'
import { finalTroubles, healing, troubles, type Healing } from './heal.ts'
import { plan, type Blow } from './plan.ts'
import type { Site } from './site.ts'
import { World } from './world.ts'

/** The bar. */
const HEALED_WITHIN_MS = 1000
/** Then it isn't slow but broken. */
const GIVEN_UP_AFTER_MS = 15_000
/** From one fault to the next: within it no more may break. */
const PEACE_MS = 100
/** Before a late fault is tried again, twice as long each time: what made it late may last. */
const FIRST_REST_MS = 1000
const MOST_FAILURES = 5
const LOG_LINES = 25
const MOST_TOLD = 20

export interface ChaosOptions {
  readonly seed: number
  readonly store: EtcdKind
  /** No new fault after that; at least each kind comes once, whatever it takes. */
  readonly forMs: number
  /** How often a fault that healed late is tried again: it counts only if it is late each time. */
  readonly retries: number
  readonly note?: (line: string) => void
}

interface Heal {
  readonly fault: string
  /** No other fault came at the same time. */
  readonly isAlone: boolean
  readonly tookMs: number
}

export interface ChaosResult {
  readonly faults: number
  readonly heals: readonly Heal[]
  readonly sent: number
  /** Packets lost while no fault was in force or being healed. */
  readonly lostOutside: number
  readonly lost: number
  /** Notifications that sockets had no room for. */
  readonly overruns: number
  readonly failures: readonly string[]
}

export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  await using world = await World.start(options.store)
  return await new Run(world, options).go()
}

class Run {
  readonly #world: World
  readonly #options: ChaosOptions
  readonly #heals: Heal[] = []
  readonly #failures: string[] = []
  /** Stretches of time in which packets may be lost. */
  readonly #windows: (readonly [fromMs: number, toMs: number])[] = []
  #number = 0

  constructor(world: World, options: ChaosOptions) {
    this.#world = world
    this.#options = options
  }

  async go(): Promise<ChaosResult> {
    const { seed, forMs } = this.#options
    const world = this.#world
    const untilMs = Date.now() + forMs
    const begun = await healing(world, Date.now(), GIVEN_UP_AFTER_MS, GIVEN_UP_AFTER_MS)
    if (begun.left.length > 0) this.#fail([], 'not whole before any fault', begun.left)
    for (const blows of plan(seed, FAULTS, world.sites.length)) {
      if (this.#failures.length > MOST_FAILURES || begun.left.length > 0) break
      if (this.#number >= FAULTS.length && Date.now() > untilMs) break
      this.#number++
      if (!(await this.#strike(blows))) break
    }
    if (this.#failures.length === 0) {
      const last = await finalTroubles(world)
      if (last.length > 0) this.#fail([], 'not right at the end', last)
    }
    return this.#result()
  }

  #result(): ChaosResult {
    const results = this.#world.flows.map((flow) => flow.result())
    const gaps = results.flatMap((result) => result.gaps)
    // On a busy machine packets aren't sent evenly: when in a gap one was isn't known.
    const isOutside = (gap: Gap) => !this.#windows.some(([from, to]) => gap.toMs > from && gap.fromMs < to)
    return {
      faults: this.#number,
      heals: this.#heals,
      sent: results.reduce((sum, { sent }) => sum + sent, 0),
      lost: lostIn(gaps),
      lostOutside: lostIn(gaps.filter(isOutside)),
      overruns: this.#world.overruns,
      failures: this.#failures,
    }
  }

  /** False if nothing sensible can come after it. */
  async #strike(blows: readonly Blow[]): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      const startedMs = Date.now()
      const worst = await this.#once(blows).catch((error: unknown) => {
        this.#fail(blows, 'the fault itself failed', [String(error)])
      })
      if (worst === undefined) return false
      this.#windows.push([startedMs, Date.now()])
      const isLate = worst.late.length > 0
      this.#options.note?.(
        `${this.#number}. ${describe(this.#world, blows)}: ${worst.tookMs} ms${isLate ? ', late' : ''}`,
      )
      if (worst.left.length > 0) {
        this.#fail(blows, `not healed within ${GIVEN_UP_AFTER_MS} ms`, worst.left)
        return false
      }
      // A moment of peace: what breaks by itself afterwards is seen.
      await pause(PEACE_MS)
      const later = await troubles(this.#world)
      if (later.length > 0) {
        this.#fail(blows, `healed, and broken again ${PEACE_MS} ms later`, later)
        return false
      }
      if (!isLate) return true
      if (tries < this.#options.retries) {
        await pause(FIRST_REST_MS * 2 ** tries)
        continue
      }
      this.#fail(
        blows,
        `healed after ${worst.tookMs} ms, not within ${HEALED_WITHIN_MS}; late were`,
        worst.late,
      )
      return true
    }
  }

  /** The slowest healing of these faults. */
  async #once(blows: readonly Blow[]): Promise<Healing> {
    const world = this.#world
    let running = blows.map(({ fault, at, seed }, index) => {
      const isCrowded = blows.some((other, i) => i !== index && other.at === at)
      return fault.run({ world, site: siteOf(world, at), random: generator(seed), isCrowded })
    })
    let worst: Healing = { tookMs: 0, left: [], late: [] }
    for (;;) {
      const steps = await Promise.all(running.map(async (act) => ({ act, isOver: await untilOver(act) })))
      running = steps.filter(({ isOver }) => isOver).map(({ act }) => act)
      if (running.length === 0) return worst
      const healed = await healing(world, Date.now(), HEALED_WITHIN_MS, GIVEN_UP_AFTER_MS)
      this.#heals.push({
        isAlone: blows.length === 1,
        fault: blows.map(({ fault }) => fault.name).join(' + '),
        tookMs: healed.tookMs,
      })
      if (healed.late.length > 0 || healed.tookMs > worst.tookMs) worst = healed
      if (healed.left.length > 0) return healed
    }
  }

  #fail(blows: readonly Blow[], what: string, lines: readonly string[]): void {
    const { seed } = this.#options
    const world = this.#world
    const logs = [...new Set(blows.map(({ at }) => siteOf(world, at)))].map(
      (site) => `last lines of flanneld in ${site.name}:\n${site.flanneld.process.tail(LOG_LINES)}`,
    )
    const more = lines.length > MOST_TOLD ? [`and ${lines.length - MOST_TOLD} more`] : []
    const head = `seed ${seed}, fault ${this.#number} (${describe(world, blows)}): ${what}`
    this.#failures.push([head, ...lines.slice(0, MOST_TOLD), ...more, ...logs].join('\n'))
  }
}

const lostIn = (gaps: readonly Gap[]): number => gaps.reduce((sum, { lost }) => sum + lost, 0)

function siteOf(world: World, at: number): Site {
  const site = world.sites[at]
  if (site === undefined) throw new RangeError(`there is no host ${at}`)
  return site
}

const describe = (world: World, blows: readonly Blow[]): string =>
  blows.map(({ fault, at }) => `${fault.name} at ${siteOf(world, at).name}`).join(' + ')

/** False if the fault has ended for good. */
async function untilOver(act: AsyncGenerator<Moment, void, undefined>): Promise<boolean> {
  for (;;) {
    const { done, value } = await act.next()
    if (done === true) return false
    if (value === 'over') return true
  }
}
