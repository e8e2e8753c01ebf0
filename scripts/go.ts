// What builds peers from source: a Go new enough, modules from the module proxy, and where the programs are kept.
import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { installDebianPackages } from './debian.ts'

export const CACHE = join(homedir(), '.cache', 'heddle')
export const BUILD = join(CACHE, 'build')
const GO_TOOLCHAIN = 'golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64'
/** What the peers ask for: kube-apiserver the newest. */
const GO_MINOR = 26

/** The path in the cache of a program of that name and version. */
export const peer = (name: string, version: string): string => join(CACHE, 'peers', `${name}-${version}`)

/** A `go` new enough for the peers: the one in PATH, else the toolchain module, which an older Go can fetch. */
export function goCommand(): string {
  if (spawnSync('go', ['version']).error) installDebianPackages(['golang-go'])
  const version = /go1\.(\d+)/.exec(
    spawnSync('go', ['version'], { encoding: 'utf8', env: { ...process.env, GOTOOLCHAIN: 'local' } })
      .stdout ?? '',
  )
  if (Number(version?.[1]) >= GO_MINOR) return 'go'
  return join(moduleFolder('go', GO_TOOLCHAIN), 'bin', 'go')
}

export function moduleFolder(go: string, module: string): string {
  mkdirSync(BUILD, { recursive: true })
  const out = run(go, ['mod', 'download', '-json', module], BUILD)
  return (JSON.parse(out) as { Dir: string }).Dir
}

/** Runs `act` in an empty folder with these files, which goes again. */
export function inBuildFolder(
  name: string,
  files: Readonly<Record<string, string>>,
  act: (folder: string) => void,
): void {
  const folder = join(BUILD, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
  act(folder)
  rmSync(folder, { recursive: true, force: true })
}

/** `go build` of a package, as seen from `folder`, into a program that is there whole or not at all. */
export function goBuild(
  go: string,
  folder: string,
  program: string,
  what: string,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  mkdirSync(dirname(program), { recursive: true })
  run(go, ['build', ...flags, '-o', `${program}.building`, what], folder, env)
  renameSync(`${program}.building`, program)
}

export function run(
  command: string,
  args: readonly string[],
  cwd?: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const done = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', ...env },
  })
  if (done.status !== 0)
    throw new Error(`${command} ${args.slice(0, 3).join(' ')} failed: ${done.error?.message ?? done.stderr}`)
  return done.stdout
}
