// `npm run package [-- --target x64|arm64] [-- --only deb|tarball]`: Debian packages and tarballs in dist/packages/,
// of the executable built anew. The same commit gives the same bytes: files have its time, or SOURCE_DATE_EPOCH's.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { arch } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { VERSION } from '../src/model/version.ts'
import { ROOT } from './packages/contents.ts'
import { buildDeb, type Target } from './packages/deb.ts'
import { buildTarball } from './packages/tarball.ts'

const TARGETS = ['x64', 'arm64'] as const
const FORMATS = { deb: buildDeb, tarball: buildTarball } as const
type Format = keyof typeof FORMATS

try {
  const { targets, formats } = readArguments(process.argv.slice(2))
  const epochSeconds = sourceDateEpoch()
  const folder = join(ROOT, 'dist', 'packages')
  for (const target of targets) {
    const executable = build(target)
    for (const format of formats) {
      const version = VERSION.slice(1)
      const file = FORMATS[format]({ target, version, executable, epochSeconds, folder, quick: false })
      const mebibytes = (statSync(file).size / 2 ** 20).toFixed(1)
      const sum = createHash('sha256').update(readFileSync(file)).digest('hex')
      console.log(`${sum}  ${relative(ROOT, file)} (${mebibytes} MiB)`)
    }
  }
} catch (error) {
  console.error(`package: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}

function readArguments(args: string[]): { targets: readonly Target[]; formats: readonly Format[] } {
  const { target, only } = parseArgs({
    args,
    options: { target: { type: 'string' }, only: { type: 'string' } },
  }).values
  return {
    targets: chosen('--target', target, TARGETS),
    formats: chosen('--only', only, ['deb', 'tarball'] as const),
  }
}

function chosen<T extends string>(flag: string, word: string | undefined, all: readonly T[]): readonly T[] {
  if (word === undefined) return all
  const found = all.filter((one) => one === word)
  if (found.length === 0)
    throw new Error(`${flag} ${word} is not understood; say ${flag} ${all.join(' or ')}`)
  return found
}

/** The executable for that architecture, made by the build script. */
function build(target: Target): string {
  const done = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.ts'), '--target', target], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (done.status !== 0) throw new Error('the build failed; see its message above')
  return join(ROOT, 'dist', ...(target === arch() ? [] : [target]), 'heddle')
}

function sourceDateEpoch(): number {
  const given = process.env['SOURCE_DATE_EPOCH']
  const git = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' })
  const text = given ?? (git.status === 0 ? git.stdout.trim() : '')
  if (/^\d{1,11}$/.test(text)) return Number(text)
  throw new Error(
    given === undefined
      ? 'there is no commit whose time the files could have; say SOURCE_DATE_EPOCH=SECONDS'
      : `SOURCE_DATE_EPOCH=${given} is not a number of seconds since 1970`,
  )
}
