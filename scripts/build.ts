// Builds the one executable with its two further names: `bun scripts/build.ts [--target x64|arm64]`.
// This machine's own goes to dist/, another architecture's to dist/<target>/.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { arch, homedir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
/** The Bun each target is built on: x64 is the baseline build, so that processors without AVX2 are served too. */
const RUNTIMES: Readonly<Record<string, string>> = {
  x64: '@oven/bun-linux-x64-baseline',
  arm64: '@oven/bun-linux-aarch64',
}

/** Tier-up thresholds while a process starts, until it calls `endStart` of sys/start.ts: spares about 10 ms at 1,000 peers. */
const START_JIT_POLICY = 5

const target = targetOf(process.argv.slice(2))
const folder = target === arch() ? join(root, 'dist') : join(root, 'dist', target)
try {
  mkdirSync(folder, { recursive: true })
  compile(folder, runtimeOf(target))
  for (const name of ['flanneld', 'flannel']) {
    rmSync(join(folder, name), { force: true })
    symlinkSync('heddle', join(folder, name))
  }
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}
console.log(`built ${join(folder, 'heddle')} (${target}), with flanneld and flannel as links to it`)

function targetOf(args: readonly string[]): string {
  const [flag, value] = args[0]?.split('=') ?? []
  const wanted = flag === undefined ? arch() : flag === '--target' ? (value ?? args[1]) : undefined
  if (wanted !== undefined && RUNTIMES[wanted] !== undefined) return wanted
  console.error(
    `build: ${args.join(' ')} is not understood; say --target ${Object.keys(RUNTIMES).join(' or --target ')}`,
  )
  process.exit(2)
}

/** The Bun executable to build on: from node_modules, else fetched by npm and checked against the lock file. */
function runtimeOf(target: string): string {
  const name = RUNTIMES[target] ?? ''
  const installed = join(root, 'node_modules', name, 'bin', 'bun')
  if (existsSync(installed)) return installed
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>
  }
  const pinned = lock.packages[`node_modules/${name}`]
  if (pinned === undefined) throw new Error(`package-lock.json does not pin ${name}`)
  const cache = join(homedir(), '.cache', 'heddle', 'bun', `${target}-${pinned.version}`)
  const executable = join(cache, 'package', 'bin', 'bun')
  if (existsSync(executable)) return executable
  mkdirSync(cache, { recursive: true })
  const packed = run('npm', [
    'pack',
    '--silent',
    '--pack-destination',
    cache,
    `${name}@${pinned.version}`,
  ]).trim()
  const archive = join(cache, packed.split('\n').at(-1) ?? '')
  const integrity = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
  if (integrity !== pinned.integrity)
    throw new Error(`${archive} is not what package-lock.json pins; remove it and build again`)
  run('tar', ['-xzf', archive, '-C', cache])
  rmSync(archive)
  return executable
}

/**
 * Bun's compiled programs read .env and bunfig.toml of the working directory unless told not to. Modules in chunks of
 * their own, as bytecode, let each of the three names load only what it needs: the CNI plugin answers in 6 ms, not 45.
 */
function compile(folder: string, runtime: string): void {
  using place = placeIn(folder)
  const building = join(place.path, 'heddle')
  run(
    process.execPath,
    [
      'build',
      '--compile',
      `--target=bun-linux-${target}`,
      `--compile-executable-path=${runtime}`,
      '--no-compile-autoload-dotenv',
      '--no-compile-autoload-bunfig',
      '--no-compile-autoload-tsconfig',
      '--no-compile-autoload-package-json',
      '--minify-syntax',
      '--splitting',
      '--format=esm',
      '--bytecode',
      `--compile-jit-policy=${START_JIT_POLICY}`,
      `--outfile=${building}`,
      join(root, 'src', 'main.ts'),
    ],
    place.path,
  )
  renameSync(building, join(folder, 'heddle'))
}

/** A folder of this build's own: Bun leaves 100 MB in its working directory when it is interrupted. */
function placeIn(folder: string): Disposable & { readonly path: string } {
  for (const name of readdirSync(folder)) {
    const builder = /^\.building-(\d+)$/.exec(name)?.[1]
    if (builder !== undefined && !existsSync(`/proc/${builder}`))
      rmSync(join(folder, name), { recursive: true, force: true })
  }
  const path = join(folder, `.building-${process.pid}`)
  mkdirSync(path, { recursive: true })
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

function run(command: string, args: readonly string[], cwd = root): string {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (done.status === 0) return done.stdout
  throw new Error(
    `${command} ${args[0]} failed: ${done.error?.message ?? `${done.stdout}${done.stderr}`.trim()}`,
  )
}
