// Debian's kernel for virtual machines: tests boot it for what belongs to a whole machine and no namespace. Fetched once,
// into the cache; never installed.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const FOLDER = join(homedir(), '.cache', 'heddle', 'guest')
const PACKAGE = 'linux-image-cloud-amd64'

export interface GuestKernel {
  readonly image: string
  /** With modules.dep. */
  readonly modules: string
  readonly version: string
}

/** Throws if `fetchGuestKernel` hasn't run. */
export function guestKernel(): GuestKernel {
  const [version] = versionsIn(FOLDER)
  if (version === undefined) throw new Error(`no kernel in ${FOLDER}: npm test fetches it`)
  const root = join(FOLDER, version)
  return {
    image: join(root, 'boot', `vmlinuz-${version}`),
    modules: join(root, 'lib/modules', version),
    version,
  }
}

/** The latest there is, where none has been fetched yet. Throws where it can't be had. */
export function fetchGuestKernel(): void {
  if (versionsIn(FOLDER).length > 0) return
  console.error(`heddle: fetching ${PACKAGE} (once, 26 MB) …`)
  const making = join(FOLDER, '.making')
  rmSync(making, { recursive: true, force: true })
  mkdirSync(making, { recursive: true })
  const name = /Depends: (linux-image-\S+)/.exec(run('apt-cache', ['depends', PACKAGE]))?.[1]
  const version = name?.replace('linux-image-', '')
  if (name === undefined || version === undefined) throw new Error(`apt knows no ${PACKAGE}`)
  run('apt-get', ['download', '-qq', name], making)
  const [file = ''] = readdirSync(making).filter((each) => each.endsWith('.deb'))
  const root = join(making, version)
  run('dpkg-deb', ['-x', join(making, file), root])
  run('busybox', ['depmod', '-b', root, version])
  renameSync(root, join(FOLDER, version))
  rmSync(making, { recursive: true })
}

function versionsIn(folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  return readdirSync(folder).filter((name) => /^\d/.test(name))
}

function run(command: string, args: readonly string[], cwd?: string): string {
  const done = spawnSync(command, args, { encoding: 'utf8', cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  if (done.status !== 0)
    throw new Error(`${command} ${args.join(' ')} failed: ${done.error?.message ?? done.stderr.trim()}`)
  return done.stdout
}
