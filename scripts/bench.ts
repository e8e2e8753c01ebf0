// `npm run bench [-- NAME … --json FILE]`: the measurements README quotes, as ratios within one run, with spread.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { judge, table, type Bench, type Result } from '../bench/measure.ts'
import { installDebianPackages, packagesIn } from './debian.ts'
import { buildUpstreamFlanneld } from './peers.ts'
import { buildIfStale } from './stale.ts'

const root = join(import.meta.dirname, '..')
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  program: async () => (await import('../bench/program.ts')).program,
  start: async () => (await import('../bench/start.ts')).start,
  restart: async () => (await import('../bench/restart.ts')).restart,
  throughput: async () => (await import('../bench/throughput.ts')).throughput,
  resources: async () => (await import('../bench/resources.ts')).resources,
  change: async () => (await import('../bench/change.ts')).change,
  acquire: async () => (await import('../bench/acquire.ts')).acquire,
  churn: async () => (await import('../bench/churn.ts')).churn,
  cni: async () => (await import('../bench/cni.ts')).cni,
  firewall: async () => (await import('../bench/firewall.ts')).firewall,
}

const { names, jsonFile } = readArguments(process.argv.slice(2))
installDebianPackages(packagesIn(join(root, 'scripts', 'test-needs.txt')))
buildUpstreamFlanneld()
buildIfStale(root)
const results: Result[] = []
for (const name of names) {
  const bench = await BENCHES[name]?.()
  if (bench === undefined) continue
  console.error(`${bench.name}: ${bench.what}`)
  const started = performance.now()
  const figures = await bench.run((progress) => console.error(`  ${progress}`))
  console.error(`  took ${((performance.now() - started) / 1000).toFixed(0)} s`)
  results.push(...figures.map((figure) => judge(name, figure)))
}
console.log(
  `\n${machine()}\nmedian (least–most); ratio: heddle over the other (where 9 of 10 reruns would lie)\n\n${table(results)}`,
)
if (jsonFile !== undefined)
  writeFileSync(jsonFile, `${JSON.stringify({ machine: machine(), results }, null, 2)}\n`)
process.exit(results.some((result) => result.verdict === 'MISSED') ? 1 : 0)

function readArguments(args: readonly string[]): { names: readonly string[]; jsonFile: string | undefined } {
  const names: string[] = []
  let jsonFile: string | undefined
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? ''
    if (word === '--json' && args[i + 1] !== undefined) jsonFile = args[++i]
    else if (BENCHES[word] !== undefined) names.push(word)
    else {
      console.error(
        `bench: ${word} is not understood; say any of ${Object.keys(BENCHES).join(', ')}, or --json FILE`,
      )
      process.exit(2)
    }
  }
  return { names: names.length === 0 ? Object.keys(BENCHES) : names, jsonFile }
}

function machine(): string {
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' })
  const model = cpus()[0]?.model ?? 'unknown processor'
  return `heddle ${(commit.stdout ?? '').trim()}; ${cpus().length} × ${model}; Linux ${release()}`
}
