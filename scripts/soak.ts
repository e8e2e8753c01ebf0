// `npm run soak [-- --heals N --restarts N --kills N --seed N]`: the long counts, at most half an hour: heals of every
// kind, restarts under traffic, kills of the embedded store in the middle of writes. Ends with a summary.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { generator, percentile } from '../bench/measure.ts'
import { pause } from '../bench/peers.ts'
import { Changes } from '../test/support/changes.ts'
import { flannelPart } from '../test/support/data-plane.ts'
import { Flanneld } from '../test/support/flanneld.ts'
import { HOST_GW_HARMS, VXLAN_HARMS, type Harm } from '../test/support/harm.ts'
import { eventually } from '../test/support/process.ts'
import { Segment, type Pod } from '../test/support/segment.ts'
import { killStore } from '../test/support/store-kills.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { Traffic } from '../test/support/traffic.ts'
import { installDebianPackages, packagesIn } from './debian.ts'
import { buildIfStale } from './stale.ts'

const root = join(import.meta.dirname, '..')
const BOUND_MINUTES = 30
const HEALED_WITHIN_MS = 1000
const count = { type: 'string' } as const
const { values } = parseArgs({ options: { heals: count, restarts: count, kills: count, seed: count } })
const heals = Number(values.heals ?? 50)
const restarts = Number(values.restarts ?? 100)
const kills = Number(values.kills ?? 200)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const random = generator(seed)

/** What the summary says; `failed` lists what must not be. */
const summary: string[] = []
const failed: string[] = []

const started = performance.now()
setTimeout(() => {
  console.log(`soak: not done within ${BOUND_MINUTES} minutes\n${summary.join('\n')}`)
  process.exit(1)
}, BOUND_MINUTES * 60_000).unref()
installDebianPackages(packagesIn(join(root, 'scripts', 'test-needs.txt')))
buildIfStale(root)
console.log(`soak: seed ${seed}; ${heals} heals of each kind, ${restarts} restarts, ${kills} store kills`)
if (heals > 0) {
  await healing('vxlan', VXLAN_HARMS)
  await healing('host-gw', HOST_GW_HARMS)
}
if (restarts > 0) await restarting()
if (kills > 0) await killing()
const minutes = ((performance.now() - started) / 60_000).toFixed(1)
console.log(`\nsoak: ${minutes} minutes, seed ${seed}\n${summary.join('\n')}`)
for (const what of failed) console.log(`FAILED: ${what}`)
process.exit(failed.length === 0 ? 0 : 1)

interface Network extends AsyncDisposable {
  readonly segment: Segment
  readonly store: TestStore
  readonly flanneld: Flanneld
  readonly pods: readonly [Pod, Pod]
}

/** Two hosts, a pod each, that reach each other. The first host's flanneld is the caller's to end. */
async function network(type: string): Promise<Network> {
  await using stack = new AsyncDisposableStack()
  const segment = stack.use(await Segment.create(2))
  const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
  const flanneld = stack.use(await Flanneld.start(segment.host(1), store, { args: ['--ip-masq'] }))
  stack.use(await Flanneld.start(segment.host(2), store))
  const pods = [await segment.host(1).pod(), await segment.host(2).pod()] as const
  await eventually('the pods reach each other', async () => (await pods[0].reaches(pods[1].ip)) || undefined)
  const owned = stack.move()
  return { segment, store, flanneld, pods, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** All kinds in an order that the seed decides, so that each meets the leftovers of any other. */
async function healing(type: string, harms: readonly Harm[]): Promise<void> {
  await using net = await network(type)
  const host = net.segment.host(1)
  const whole = await flannelPart(host)
  const times = new Map<string, number[]>(harms.map((harm) => [harm.name, []]))
  for (const harm of shuffled(harms.flatMap((harm) => Array.from({ length: heals }, () => harm)))) {
    await host.sh(harm.command)
    const broken = performance.now()
    try {
      await eventually('healed', async () => ((await flannelPart(host)) === whole ? true : undefined), 10)
    } catch {
      failed.push(`${type}, ${harm.name}: not healed in 10 s: ${await flannelPart(host)}`)
      return
    }
    times.get(harm.name)?.push(performance.now() - broken)
  }
  for (const [name, list] of times) {
    const most = Math.max(...list)
    summary.push(
      `heal ${type}, ${name}: ${list.length} times, p50 ${percentile(list, 50).toFixed(0)} ms, p99 ${percentile(list, 99).toFixed(0)} ms, most ${most.toFixed(0)} ms`,
    )
    if (most >= HEALED_WITHIN_MS) failed.push(`${type}, ${name}: took ${most.toFixed(0)} ms once`)
  }
  if (!(await net.pods[0].reaches(net.pods[1].ip))) failed.push(`${type}: pods apart after the heals`)
}

/** By SIGKILL or SIGTERM, as the seed has it, with up to a second before the next start, and some starts cut short. */
async function restarting(): Promise<void> {
  await using net = await network('vxlan')
  const host = net.segment.host(1)
  using changes = new Changes(host)
  await changes.quiet()
  await using traffic = await Traffic.start(net.pods[0].namespace, net.pods[1].ip)
  let flanneld = net.flanneld
  const readyMs: number[] = []
  for (let round = 0; round < restarts; round++) {
    await flanneld.end(random() < 0.5 ? 'SIGKILL' : 'SIGTERM')
    await pause(random())
    if (random() < 0.3) {
      await using halfway = Flanneld.launch(host, net.store, { args: ['--ip-masq'] })
      await pause(random() * 0.2)
      await halfway.end('SIGKILL')
    }
    const begun = performance.now()
    flanneld = await Flanneld.start(host, net.store, { args: ['--ip-masq'] })
    readyMs.push(performance.now() - begun)
  }
  const { sent, lost } = await traffic.stop()
  await flanneld.end()
  const made = await changes.take()
  summary.push(
    `restarts: ${restarts}, ready after p50 ${percentile(readyMs, 50).toFixed(0)} ms, p99 ${percentile(readyMs, 99).toFixed(0)} ms; ${sent} packets sent, ${lost} lost; ${made.length} kernel changes`,
  )
  if (lost > 0) failed.push(`restarts: ${lost} of ${sent} packets lost`)
  if (made.length > 0) failed.push(`restarts: kernel changes: ${[...new Set(made)].join(', ')}`)
}

async function killing(): Promise<void> {
  const { rounds, acknowledged, losses } = await killStore(kills)
  summary.push(`store kills: ${rounds}, ${acknowledged} writes acknowledged, ${losses.length} lost`)
  failed.push(...losses.map((loss) => `store kills: ${loss}`))
}

function shuffled<T>(list: readonly T[]): T[] {
  const mixed = [...list]
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const [a, b] = [mixed[i], mixed[j]]
    if (a !== undefined && b !== undefined) [mixed[i], mixed[j]] = [b, a]
  }
  return mixed
}
