// Chaos in a lab of six hosts for minutes: nothing may take longer than a second, nor lose a packet elsewhere.
import type { EtcdKind } from '../../test/support/etcd.ts'
import { chaos } from '../../test/chaos/run.ts'
import { spread, type Tally } from './tally.ts'

interface ChaosWish {
  readonly minutes: number
  readonly seed: number
  readonly store: EtcdKind
}

export async function wreaking({ minutes, seed, store }: ChaosWish, tally: Tally): Promise<void> {
  const note = (line: string) => console.log(`chaos: ${line}`)
  const result = await chaos({ seed, store, forMs: minutes * 60_000, retries: 0, note })
  const { heals, faults, sent, lost, lostOutside, overruns, failures } = result
  const alone = Map.groupBy(
    heals.filter(({ isAlone }) => isAlone),
    ({ fault }) => fault,
  )
  for (const [fault, list] of [...alone].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    tally.summary.push(`chaos, ${fault}: ${list.length} times, ${spread(list.map(({ tookMs }) => tookMs))}`)
  tally.summary.push(
    `chaos: seed ${seed}, ${store}, ${faults} times one fault or two, healed after ${spread(heals.map(({ tookMs }) => tookMs))}; ${sent} packets sent, ${lost} lost, ${lostOutside} of these while nothing was broken; ${overruns} notifications lost`,
  )
  tally.failed.push(...failures.map((failure) => `chaos: ${failure}`))
  if (lostOutside > 0) tally.failed.push(`chaos: ${lostOutside} packets lost while nothing was broken`)
}
