// Tells whoever asks a running flanneld what isn't in the kernel as it should be: compared afresh with dumps that change
// nothing, and again after each round for those who watch.
import {
  differs,
  driftingObjects,
  failureFacts,
  fightFacts,
  kindCounts,
  repairFacts,
} from '../../status/drift/report.ts'
import type { DriftReport } from '../../status/drift/report.ts'
import type { Report } from '../report.ts'
import { Turnstile } from './turnstile.ts'

/** What is another with each try, and no news. */
const PASSING: ReadonlySet<string> = new Set(['tries', 'nextTry'])

export class DriftDesk {
  readonly #report: Report
  readonly #turnstile: Turnstile<Told>

  constructor(report: Report) {
    this.#report = report
    this.#turnstile = new Turnstile(async () => told(await compare(report)))
  }

  async ask(): Promise<DriftReport> {
    return (await this.#turnstile.ask()).report
  }

  /** Now, and whenever it is another; ends with the signal. Nothing is compared while nothing happens. */
  async *changes(signal: AbortSignal): AsyncGenerator<DriftReport, void, undefined> {
    let before = ''
    while (!signal.aborted) {
      const stirred = this.#report.stirring()
      let now: Told
      try {
        now = await this.#turnstile.ask(signal)
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      if (now.news !== before) yield now.report
      before = now.news
      await unlessAborted(stirred, signal)
    }
  }
}

interface Told {
  readonly report: DriftReport
  /** What makes it another one: once for all who watch. */
  readonly news: string
}

const told = (report: DriftReport): Told => ({
  report,
  news: JSON.stringify(report, (name, value: unknown) => (PASSING.has(name) ? undefined : value)),
})

async function compare(report: Report): Promise<DriftReport> {
  const { reconciler, fabric, phase } = report
  const troubles = troublesOf(report)
  if (reconciler === undefined || fabric === undefined)
    return {
      ...NOTHING,
      by: 'daemon',
      troubles,
      unknown: [`flanneld doesn't know yet what should be there: ${phase}`],
    }
  const { failures } = reconciler
  const objects = driftingObjects(await reconciler.drift(), failures)
  const about = reconciler.report()
  const wanted = Object.fromEntries(Object.entries(about.kinds).map(([kind, { wanted: n }]) => [kind, n]))
  return {
    by: 'daemon',
    complete: about.complete,
    unknown: about.complete ? [] : [`flanneld hasn't heard of all peers yet: ${phase}`],
    troubles,
    differs: differs(objects),
    objects,
    kinds: kindCounts(wanted, objects),
    refused: Object.fromEntries(fabric.refused()),
    doubtful: Object.fromEntries(fabric.doubtful()),
    failures: failureFacts(failures),
    fights: fightFacts(reconciler.fights),
    repairs: repairFacts(about, reconciler.repairs),
  }
}

function troublesOf({ interfaceLack, configRefusal, store }: Report): string[] {
  return [
    ...(interfaceLack === undefined
      ? []
      : [`no interface for traffic between hosts: ${interfaceLack}; all stays as it is until there is one`]),
    ...(configRefusal === undefined
      ? []
      : [`the network config in the store is refused, the last one stays in force: ${configRefusal}`]),
    ...new Set([...(store?.troubles.values() ?? [])].map(({ message }) => message)),
  ]
}

/** Of what isn't known. */
export const NOTHING = {
  complete: false,
  troubles: [],
  differs: false,
  objects: [],
  kinds: {},
  refused: {},
  doubtful: {},
  failures: [],
  fights: [],
} as const

async function unlessAborted(happens: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<void>()
  const end = () => aborted.resolve()
  signal.addEventListener('abort', end)
  if (!signal.aborted) await Promise.race([happens, aborted.promise])
  signal.removeEventListener('abort', end)
}
