// Whether flanneld is alive, and whether its host's network is ready: each check with its reason. Computed when asked.
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { Check } from '../status/checks.ts'
import type { StatusSource } from '../status/server.ts'
import type { DriftDesk } from './drift/desk.ts'
import type { Report } from './report.ts'

/** A round takes seconds with ten thousand peers: one that takes so long will never end. */
export const STUCK_ROUND_MS = 60_000
/** What this host itself wants, beside what each peer's lease does (fabric.ts). */
const OWN_SOURCES = ['devices', 'firewall']

export class Health implements StatusSource {
  readonly #report: Report
  #desk: Promise<DriftDesk> | undefined

  constructor(report: Report) {
    this.#report = report
  }

  /** That it answers at all shows that its event loop turns. */
  live(): readonly Check[] {
    return [
      { name: 'ping', failure: undefined },
      { name: 'reconciler', failure: this.stuck() },
    ]
  }

  /** Why the process is no good any more and should be started again. */
  stuck(): string | undefined {
    const runsMs = this.#report.reconciler?.report().roundRunsMs ?? 0
    return runsMs <= STUCK_ROUND_MS
      ? undefined
      : `one round of programming the kernel has taken ${seconds(runsMs)} so far`
  }

  ready(): readonly Check[] {
    const { phase, own, external, interfaceLack, programmed, ready } = this.#report
    return [
      this.#store(),
      { name: 'interface', failure: external === undefined ? phase : interfaceLack },
      { name: 'lease', failure: own === undefined ? phase : undefined },
      this.#host(),
      { name: 'peers', failure: programmed ? undefined : phase },
      { name: 'subnet-file', failure: ready ? undefined : phase },
    ]
  }
  get isReady(): boolean {
    return this.ready().every((check) => check.failure === undefined)
  }

  #store(): Check {
    const { store, storeWatch, phase } = this.#report
    const name = 'store'
    if (store === undefined) return { name, failure: phase }
    const lost = storeWatch.lost('leases')
    if (lost === undefined) {
      const [other] = store.troubles.values()
      return other === undefined
        ? { name, failure: undefined }
        : { name, failure: undefined, note: other.message }
    }
    const told = `the leases are lost since ${seconds(performance.now() - lost.sinceMs)}: ${lost.error.message}`
    return storeWatch.isLong
      ? { name, failure: told }
      : { name, failure: undefined, note: `${told}; not ready from ${seconds(storeWatch.graceMs)} on` }
  }

  /** This host's own devices, addresses and rules. Peers that can't be programmed make no host unready. */
  #host(): Check {
    const { reconciler, phase } = this.#report
    return { name: 'host', failure: reconciler === undefined ? phase : missingOfOwn(reconciler) }
  }

  report(): unknown {
    return { ready: this.isReady, ...this.#report.toJson() }
  }

  async drift(): Promise<unknown> {
    return (await this.#driftDesk()).ask()
  }
  async *driftChanges(signal: AbortSignal): AsyncGenerator<unknown, void, undefined> {
    yield* (await this.#driftDesk()).changes(signal)
  }
  /** Only who is asked for drift needs it. */
  #driftDesk(): Promise<DriftDesk> {
    return (this.#desk ??= import('./drift/desk.ts').then(({ DriftDesk: Desk }) => new Desk(this.#report)))
  }

  async metrics(): Promise<string> {
    // Only who is scraped needs it.
    const { scrape } = await import('./metrics.ts')
    return scrape(this.#report, this)
  }
}

/** Why this host's own devices, addresses or rules aren't all in the kernel; undefined if they are. */
export function missingOfOwn(reconciler: Reconciler): string | undefined {
  const lacking = reconciler.lacking()
  return OWN_SOURCES.map((source) => lacking.get(source)).find((reason) => reason !== undefined)
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`
