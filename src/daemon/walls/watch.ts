// Watches what other people's rules do to packets of pods: when the kernel tells that rules have changed, at a low rate;
// and afresh when somebody asks. What drops them is named in the log once, and once more when it is gone.
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import type { Self } from '../../backend/backend.ts'
import type { Monitor } from '../../netlink/monitor.ts'
import { openGenerations } from '../../netlink/nftables/generations.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import type { Bell } from '../../sys/bell.ts'
import { log } from '../../sys/log.ts'
import { LegacyTables } from '../../xtables/legacy.ts'
import type { Network } from '../network.ts'
import type { FirewalldKeeper, FirewalldReport } from './firewalld.ts'
import { lookForWalls, nameOf, type Look, type Wall } from './look.ts'
import { trafficOf, type Traffic } from './sites.ts'

const logger = log.from('walls.ts')

/** From a change to the look at it, so that one look does for many. */
const QUIET_MS = 1_000
/** Looks that nobody asks for. */
const LEAST_PAUSE_MS = 2_000
/** Whoever asks sooner is told the same again. */
const FRESH_MS = 250
/** A pause is so many times as long as the look before it: with ten thousand rules it costs no more than 2 % of a core. */
const PAUSE_A_LOOK = 50
/** What of a wall is said in one line of the log. */
const MOST_REMEDIES = 4

export interface WallParts {
  readonly network: Network
  readonly self: () => Self
  readonly firewalld: FirewalldKeeper
  /** Rung when this host may be another, by its interface or lease. */
  readonly moved: Bell
}

/** What /status tells. */
export interface WallReport {
  readonly blockers?: readonly Wall[]
  readonly unfinished?: readonly string[]
  readonly firewalld?: FirewalldReport
  /** Why nothing is known. */
  readonly trouble?: string
}

interface Looked {
  readonly look: Look
  readonly traffic: Traffic
  readonly atMs: number
  readonly tookMs: number
}

export class WallWatch implements Disposable {
  readonly #parts: WallParts
  readonly #stack = new DisposableStack()
  readonly #sockets: {
    readonly route: NetlinkSocket
    readonly netfilter: NetlinkSocket
    readonly legacy: LegacyTables
  }
  readonly #generations: Monitor
  #last: Looked | undefined
  #heard: Promise<boolean> | undefined
  /** Walls that were there at the last look, and of those the ones that the log has told of. */
  #seen = new Set<string>()
  readonly #told = new Map<string, Wall>()

  /** Throws SysError where the kernel has no nf_tables. */
  constructor(parts: WallParts) {
    using opening = new DisposableStack()
    this.#parts = parts
    this.#sockets = {
      route: opening.use(NetlinkSocket.open('route')),
      netfilter: opening.use(NetlinkSocket.open('netfilter')),
      legacy: opening.use(new LegacyTables()),
    }
    this.#generations = opening.use(openGenerations())
    this.#stack.use(opening.move())
  }

  report(): WallReport {
    const firewalld = this.#parts.firewalld.report()
    try {
      const { look } = this.#fresh()
      const { walls, unfinished } = look
      return {
        blockers: walls,
        ...(unfinished.length > 0 && { unfinished }),
        ...(firewalld && { firewalld }),
      }
    } catch (error) {
      return { trouble: messageOf(error), ...(firewalld && { firewalld }) }
    }
  }

  /** Not sooner than this after the last look. */
  #pauseMs(leastMs: number): number {
    return Math.max(leastMs, PAUSE_A_LOOK * (this.#last?.tookMs ?? 0))
  }

  #fresh(): Looked {
    const now = performance.now()
    const last = this.#last
    return last !== undefined && now - last.atMs < this.#pauseMs(FRESH_MS) ? last : this.#look()
  }

  /** At once. */
  #look(): Looked {
    const steps = this.#steps()
    for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
  }

  /** With turns for others between its steps. */
  async #lookPatiently(signal: AbortSignal): Promise<Looked> {
    const steps = this.#steps()
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) return step.value
      await setImmediate(undefined, { signal })
    }
  }

  *#steps(): Generator<void, Looked, undefined> {
    let tookMs = 0
    const { route, netfilter, legacy } = this.#sockets
    let began = performance.now()
    const traffic = trafficOf(route, this.#parts.network, this.#parts.self())
    const steps = lookForWalls(netfilter, legacy, traffic)
    for (let step = steps.next(); ; step = steps.next()) {
      tookMs += performance.now() - began
      if (step.done === true) {
        this.#last = { look: step.value, traffic, atMs: performance.now(), tookMs }
        return this.#last
      }
      yield
      began = performance.now()
    }
  }

  /** Never returns: rejects with the signal's reason. */
  async follow(signal: AbortSignal): Promise<never> {
    for (;;) {
      let pauseMs = LEAST_PAUSE_MS
      try {
        const { look, traffic } = await this.#lookPatiently(signal)
        pauseMs = this.#pauseMs(LEAST_PAUSE_MS)
        const hasChanged = await this.#parts.firewalld.attend(look, traffic.passage, signal)
        const isNew = this.#tell(look)
        // Rules that are being reloaded are there again a second later: what is still in the way then is told.
        if (hasChanged || isNew) pauseMs = QUIET_MS
      } catch (error) {
        if (signal.aborted) throw error
        logger.warning(`what other rules do to packets of pods can't be seen: ${messageOf(error)}`, {
          about: 'look',
        })
      }
      if (pauseMs > QUIET_MS) {
        await this.#disturbed(signal)
        const sinceMs = performance.now() - (this.#last?.atMs ?? 0)
        pauseMs = Math.max(QUIET_MS, pauseMs - sinceMs)
      }
      await delay(pauseMs, undefined, { signal })
      this.#generations.take()
    }
  }

  /** Rules have changed, or this host has. */
  async #disturbed(signal: AbortSignal): Promise<void> {
    const place = this.#place()
    for (;;) {
      // One reader at a time: who waits already goes on waiting.
      this.#heard ??= this.#generations.ready(signal)
      const isHeard = await this.#heardOrMoved(this.#heard, signal)
      signal.throwIfAborted()
      if (isHeard !== undefined) {
        this.#heard = undefined
        return
      }
      if (this.#place() !== place) return
    }
  }

  /** Undefined once this host may have moved. */
  async #heardOrMoved(heard: Promise<boolean>, signal: AbortSignal): Promise<boolean | undefined> {
    const enough = new AbortController()
    const moved = this.#parts.moved.wait(Infinity, AbortSignal.any([signal, enough.signal]))
    try {
      return await Promise.race([heard, moved.then(() => undefined)])
    } finally {
      enough.abort()
      await moved
    }
  }

  #place(): string {
    const { link, subnets } = this.#parts.self()
    return [link, ...subnets].join(' ')
  }

  /** Whether there is one that wasn't there at the last look. */
  #tell({ walls }: Look): boolean {
    const certain = new Map(
      walls.filter(({ certainty }) => certainty === 'drops').map((wall) => [nameOf(wall), wall]),
    )
    const fresh = [...certain.keys()].some((name) => !this.#seen.has(name))
    for (const [name, wall] of certain) {
      if (!this.#seen.has(name) || this.#told.has(name)) continue
      this.#told.set(name, wall)
      logger.warning(sentenceOf(wall), { about: name })
    }
    for (const [name, { way, where }] of this.#told) {
      if (certain.has(name)) continue
      this.#told.delete(name)
      logger.info(`packets ${way} are not dropped any more by ${where}`, { about: name })
    }
    this.#seen = new Set(certain.keys())
    return fresh
  }

  [Symbol.dispose](): void {
    this.#stack.dispose()
  }
}

function sentenceOf({ family, way, where, how, see, remedies }: Wall): string {
  const verb = how === 'reject' ? 'rejected' : 'dropped'
  const some = remedies.slice(0, MOST_REMEDIES).join('; ')
  const advice = some === '' ? '' : `; to let them through: ${some}`
  return `${family === 'ipv4' ? 'IPv4' : 'IPv6'} packets ${way} are ${verb} by ${where} (${see})${advice}`
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
