// Installs Debian packages where they are missing and we may, and fetches those that must not be installed.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The packages of a list file: one a line, `#` begins a comment. */
export const packagesIn = (list: string): string[] =>
  readFileSync(list, 'utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((name) => name !== '')

/** Throws with what to type where we may not install. */
export function installDebianPackages(wanted: readonly string[]): void {
  const missing = wanted.filter((name) => !installed(name))
  if (missing.length === 0) return
  if (process.getuid?.() !== 0)
    throw new Error(`missing: type \`sudo apt-get install ${missing.join(' ')}\` and run again`)
  console.error(`heddle: installing Debian packages: ${missing.join(' ')} …`)
  apt(['update', '-qq'])
  apt(['install', '-y', '-qq', '--no-install-recommends', ...missing])
}

const FETCHED = join(homedir(), '.cache', 'heddle', 'debian')

/** The file of a package that `fetchDebianPackages` has fetched. Throws if it has not. */
export function fetchedPackage(name: string): string {
  const file = filesIn(FETCHED).find((each) => each.startsWith(`${name}_`))
  if (file === undefined)
    throw new Error(
      `package ${name} is not in ${FETCHED}: npm test fetches what scripts/test-unpacked.txt names`,
    )
  return join(FETCHED, file)
}

/** Into the cache, once; nothing is installed. Throws where they can't be had. */
export function fetchDebianPackages(wanted: readonly string[]): void {
  const there = filesIn(FETCHED)
  const missing = wanted.filter((name) => !there.some((file) => file.startsWith(`${name}_`)))
  if (missing.length === 0) return
  console.error(`heddle: fetching Debian packages: ${missing.join(' ')} …`)
  mkdirSync(FETCHED, { recursive: true })
  if (process.getuid?.() === 0) apt(['update', '-qq'])
  apt(['download', '-qq', ...missing], FETCHED)
}

function filesIn(folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  return readdirSync(folder).filter((name) => name.endsWith('.deb'))
}

const installed = (name: string): boolean => {
  const query = spawnSync('dpkg-query', ['-W', '-f=${Status}', name], { encoding: 'utf8' })
  return query.stdout?.includes('install ok installed') ?? false
}

/** Services that packages bring along (etcd's) must not start. */
function apt(args: readonly string[], cwd?: string): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const done = spawnSync('apt-get', args, {
    encoding: 'utf8',
    env: environment,
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (done.status !== 0) throw new Error(`apt-get ${args[0]} failed: ${done.error?.message ?? done.stderr}`)
}
