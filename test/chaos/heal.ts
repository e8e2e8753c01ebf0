// Whether the whole lab is as it should be, what isn't, and how long it took to become so.
import { setTimeout as pause } from 'node:timers/promises'
import { leaseTroubles, objectTroubles } from './oracle.ts'
import type { Site } from './site.ts'
import type { World } from './world.ts'

const BETWEEN_LOOKS_MS = 10

/** What isn't whole of one host: its objects, and whether its flanneld is ready. */
async function troublesOf(world: World, site: Site): Promise<string[]> {
  return [...(await objectTroubles(world, site)), ...(await readiness(site))]
}

/** What isn't as it should be at this moment, packets aside: the count of lost ones tells of those. */
export async function troubles(world: World): Promise<string[]> {
  const ofSites = await Promise.all(world.sites.map((site) => troublesOf(world, site)))
  return [...ofSites.flat(), ...(world.hasStore ? leaseTroubles(world) : [])]
}

export interface Healing {
  /** Until a look at everything had found it whole: never less than it took. */
  readonly tookMs: number
  /** What still wasn't whole when it was given up. */
  readonly left: readonly string[]
  /** What wasn't by a look that began after the bar: proof that it took longer, however slow the looks are. */
  readonly late: readonly string[]
}

/** Waits until all is whole, from `sinceMs` (Date.now()) on. */
export async function healing(
  world: World,
  sinceMs: number,
  barMs: number,
  giveUpMs: number,
): Promise<Healing> {
  let pending = world.sites
  let late: readonly string[] = []
  for (;;) {
    const beganMs = Date.now() - sinceMs
    const found = await Promise.all(
      pending.map(async (site) => ({ site, list: await troublesOf(world, site) })),
    )
    const left = [...found.flatMap(({ list }) => list), ...silence(world, sinceMs)]
    if (left.length === 0 && world.hasStore) left.push(...leaseTroubles(world))
    const tookMs = Date.now() - sinceMs
    if (left.length > 0 && beganMs > barMs && late.length === 0) late = left
    if (left.length === 0 || tookMs > giveUpMs) return { tookMs, left, late }
    pending = found.filter(({ list }) => list.length > 0).map(({ site }) => site)
    await pause(BETWEEN_LOOKS_MS)
  }
}

/** Pods whose packets since then weren't answered. */
export const silence = (world: World, sinceMs: number): string[] =>
  world.flows.filter(({ answeredMs }) => answeredMs < sinceMs).map(({ name }) => `no answer: ${name}`)

async function readiness({ name, flanneld }: Site): Promise<string[]> {
  if (!flanneld.process.running) return [`${name}: flanneld has ended`]
  try {
    const { status, body } = await flanneld.ask('/readyz?verbose')
    return status === 200 ? [] : [`${name}: flanneld isn't ready: ${body.trim()}`]
  } catch (error) {
    return [`${name}: flanneld doesn't answer: ${String(error)}`]
  }
}

/** What isn't right at the end: pods that don't reach each other, whoever they are; drift that a flanneld knows of. */
export async function finalTroubles(world: World): Promise<string[]> {
  const each = world.sites.map(async ({ name, host, flanneld }) => {
    const { body } = await flanneld.ask('/drift')
    const { differs, complete, objects, failures } = JSON.parse(body) as DriftReport
    const isClean = complete && !differs && failures.length === 0
    const drift = isClean ? [] : [`${name}: drift: ${JSON.stringify({ complete, objects, failures })}`]
    const others = world.sites.flatMap((site) => site.host.pods.flatMap((pod) => pod.ips))
    const said = await host.pods[0]?.sh(
      others.map((ip) => `(ping -n -q -c 1 -W 3 ${ip} >/dev/null || echo ${ip}) &`).join('\n') + '\nwait',
    )
    const unreached = (said ?? '').split('\n').filter((ip) => ip !== '')
    return [...drift, ...unreached.map((ip) => `${name}: its pod doesn't reach ${ip}`)]
  })
  return (await Promise.all(each)).flat()
}

/** The part of /drift that must be empty. */
interface DriftReport {
  readonly differs: boolean
  readonly complete: boolean
  readonly objects: readonly unknown[]
  readonly failures: readonly unknown[]
}
