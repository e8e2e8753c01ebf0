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
  readonly #turnstile: Turnstile<DriftReport>

  constructor(report: Report) {
    this.#report = report
    this.#turnstile = new Turnstile(() => compare(report))
  }

  ask(): Promise<DriftReport> {
    return this.#turnstile.ask()
  }

  /** Now, and whenever it is another; ends with the signal. Nothing is compared while nothing happens. */
  async *changes(signal: AbortSignal): AsyncGenerator<DriftReport, void, undefined> {
    let told = ''
    while (!signal.aborted) {
      const stirred = this.#report.stirring()
      const now = await this.#turnstile.ask()
      const text = JSON.stringify(now, (name, value: unknown) => (PASSING.has(name) ? undefined : value))
      if (text !== told) yield now
      told = text
      await unlessAborted(stirred, signal)
    }
  }
}

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
