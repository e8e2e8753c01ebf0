// Heals of every kind of harm to one host of two, many times over.
import { flannelPart } from '../../test/support/data-plane.ts'
import { HOST_GW_HARMS, VXLAN_HARMS, type Harm } from '../../test/support/harm.ts'
import { eventually } from '../../test/support/process.ts'
import { network } from './network.ts'
import { spread, type Tally } from './tally.ts'

const HEALED_WITHIN_MS = 1000

/** All kinds in an order that the seed decides, so that each meets the leftovers of any other. */
export async function healing(count: number, random: () => number, tally: Tally): Promise<void> {
  await heal('vxlan', VXLAN_HARMS, count, random, tally)
  await heal('host-gw', HOST_GW_HARMS, count, random, tally)
}

async function heal(
  type: string,
  harms: readonly Harm[],
  count: number,
  random: () => number,
  tally: Tally,
): Promise<void> {
  await using net = await network(type)
  const host = net.segment.host(1)
  const whole = await flannelPart(host)
  const times = new Map<string, number[]>(harms.map((harm) => [harm.name, []]))
  for (const harm of shuffled(
    harms.flatMap((harm) => Array.from({ length: count }, () => harm)),
    random,
  )) {
    await host.sh(harm.command)
    const broken = performance.now()
    try {
      await eventually('healed', async () => ((await flannelPart(host)) === whole ? true : undefined), 10)
    } catch {
      tally.failed.push(`${type}, ${harm.name}: not healed in 10 s: ${await flannelPart(host)}`)
      return
    }
    times.get(harm.name)?.push(performance.now() - broken)
  }
  for (const [name, list] of times) {
    const most = Math.max(...list)
    tally.summary.push(`heal ${type}, ${name}: ${list.length} times, ${spread(list)}`)
    if (most >= HEALED_WITHIN_MS) tally.failed.push(`${type}, ${name}: took ${most.toFixed(0)} ms once`)
  }
  if (!(await net.pods[0].reaches(net.pods[1].ip))) tally.failed.push(`${type}: pods apart after the heals`)
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const mixed = [...list]
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const [a, b] = [mixed[i], mixed[j]]
    if (a !== undefined && b !== undefined) [mixed[i], mixed[j]] = [b, a]
  }
  return mixed
}
