// Kills of the embedded store in the middle of writes.
import { killStore } from '../../test/support/store-kills.ts'
import type { Tally } from './tally.ts'

export async function killing(count: number, tally: Tally): Promise<void> {
  const { rounds, acknowledged, losses } = await killStore(count)
  tally.summary.push(`store kills: ${rounds}, ${acknowledged} writes acknowledged, ${losses.length} lost`)
  tally.failed.push(...losses.map((loss) => `store kills: ${loss}`))
}
