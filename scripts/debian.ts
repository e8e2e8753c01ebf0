// Installs Debian packages where they are missing and we may.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

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
  apt('update', '-qq')
  apt('install', '-y', '-qq', '--no-install-recommends', ...missing)
}

const installed = (name: string): boolean => {
  const query = spawnSync('dpkg-query', ['-W', '-f=${Status}', name], { encoding: 'utf8' })
  return query.stdout?.includes('install ok installed') ?? false
}

/** Services that packages bring along (etcd's) must not start. */
function apt(...args: readonly string[]): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const done = spawnSync('apt-get', args, {
    encoding: 'utf8',
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (done.status !== 0) throw new Error(`apt-get ${args[0]} failed: ${done.error?.message ?? done.stderr}`)
}
