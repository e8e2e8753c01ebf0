// `npm run soak [-- --heals N --restarts N --kills N --chaos-minutes N --store etcd|embedded --seed N]`: the long counts,
// at most three quarters of an hour: heals of every kind, restarts under traffic, kills of the embedded store in the
// middle of writes, chaos among six hosts. Ends with a summary. `--heals 0` and so on leave a part out.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { generator } from '../bench/measure.ts'
import { installDebianPackages, packagesIn } from './debian.ts'
import { Tally } from './soak/tally.ts'
import { buildIfStale } from './stale.ts'

const root = join(import.meta.dirname, '..')
const BOUND_MINUTES = 45
const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    heals: text,
    restarts: text,
    kills: text,
    'chaos-minutes': text,
    store: { type: 'string', default: 'etcd' },
    seed: text,
  },
})
const heals = Number(values.heals ?? 50)
const restarts = Number(values.restarts ?? 100)
const kills = Number(values.kills ?? 200)
const minutes = Number(values['chaos-minutes'] ?? 10)
const store = values.store === 'embedded' ? 'embedded' : 'etcd'
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const random = generator(seed)
const tally = new Tally()

const started = performance.now()
setTimeout(() => {
  console.log(`soak: not done within ${BOUND_MINUTES} minutes\n${tally.summary.join('\n')}`)
  process.exit(1)
}, BOUND_MINUTES * 60_000).unref()
installDebianPackages(packagesIn(join(root, 'scripts', 'test-needs.txt')))
buildIfStale(root)
console.log(
  `soak: seed ${seed}; ${heals} heals of each kind, ${restarts} restarts, ${kills} store kills, ${minutes} minutes of chaos`,
)
// Imported when needed, and after the build: tests' modules build what is stale by themselves.
if (heals > 0) await (await import('./soak/heals.ts')).healing(heals, random, tally)
if (restarts > 0) await (await import('./soak/restarts.ts')).restarting(restarts, random, tally)
if (kills > 0) await (await import('./soak/kills.ts')).killing(kills, tally)
if (minutes > 0) await (await import('./soak/chaos.ts')).wreaking({ minutes, seed, store }, tally)
const took = ((performance.now() - started) / 60_000).toFixed(1)
console.log(`\nsoak: ${took} minutes, seed ${seed}\n${tally.summary.join('\n')}`)
for (const what of tally.failed) console.log(`FAILED: ${what}`)
process.exit(tally.failed.length === 0 ? 0 : 1)
