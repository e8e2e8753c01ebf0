// Real peers for tests and benches, built with Go from the module proxy and cached under ~/.cache/heddle:
// upstream flanneld, and an etcd newer than Debian's. Prints nothing when all is there. `bun scripts/peers.ts` makes
// them all.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { installDebianPackages } from './debian.ts'

export const CACHE = join(homedir(), '.cache', 'heddle')
const FLANNEL = 'v0.28.9'
const ETCD = 'v3.6.16'
const GO_TOOLCHAIN = 'golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64'
/** Upstream's daemon, as released but for the Tencent cloud back end, whose SDK the module proxy lacks (its UDP back end wants gcc). */
export const upstreamFlanneld = join(CACHE, 'peers', `flanneld-${FLANNEL}`)
/** Upstream's script that tells Docker the subnet. */
export const upstreamMkDockerOpts = join(CACHE, 'peers', `mk-docker-opts-${FLANNEL}.sh`)
/** etcd 3.6, and its tool for files of members that aren't up: what restores a snapshot. */
export const etcd36 = join(CACHE, 'peers', `etcd-${ETCD}`)
export const etcdutl36 = join(CACHE, 'peers', `etcdutl-${ETCD}`)

export function buildPeers(): void {
  buildUpstreamFlanneld()
  fetchUpstreamScript()
  buildEtcd()
}

export function buildUpstreamFlanneld(): void {
  if (existsSync(upstreamFlanneld)) return
  console.error(`heddle: building upstream flanneld ${FLANNEL} (once, about 75 s) …`)
  const go = goCommand()
  const source = join(CACHE, 'build', `flannel-${FLANNEL}`)
  rmSync(source, { recursive: true, force: true })
  mkdirSync(join(CACHE, 'peers'), { recursive: true })
  cpSync(moduleFolder(go, `github.com/flannel-io/flannel@${FLANNEL}`), source, { recursive: true })
  run('chmod', ['-R', 'u+w', source])
  const main = join(source, 'main.go')
  writeFileSync(main, readFileSync(main, 'utf8').replace(/^.*backend\/tencentvpc".*\n/m, ''))
  const building = `${upstreamFlanneld}.building`
  run(
    go,
    [
      'build',
      '-mod=mod',
      '-ldflags',
      `-s -w -X github.com/flannel-io/flannel/pkg/version.Version=${FLANNEL}`,
      '-o',
      building,
      '.',
    ],
    source,
  )
  renameSync(building, upstreamFlanneld)
  rmSync(source, { recursive: true, force: true })
}

function fetchUpstreamScript(): void {
  if (existsSync(upstreamMkDockerOpts)) return
  const module = moduleFolder(goCommand(), `github.com/flannel-io/flannel@${FLANNEL}`)
  mkdirSync(join(CACHE, 'peers'), { recursive: true })
  cpSync(join(module, 'dist', 'mk-docker-opts.sh'), upstreamMkDockerOpts)
}

/** Both programs' modules are their main packages; a module of ours says which versions go together. */
export function buildEtcd(): void {
  if (existsSync(etcd36) && existsSync(etcdutl36)) return
  console.error(`heddle: building etcd ${ETCD} (once, about 60 s) …`)
  const go = goCommand()
  const folder = join(CACHE, 'build', `etcd-${ETCD}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(CACHE, 'peers'), { recursive: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'go.mod'), 'module heddle-test/etcd\n\ngo 1.25\n')
  const programs = [
    ['go.etcd.io/etcd/server/v3', etcd36],
    ['go.etcd.io/etcd/etcdutl/v3', etcdutl36],
  ] as const
  run(go, ['get', ...programs.map(([module]) => `${module}@${ETCD}`)], folder)
  for (const [module, file] of programs) {
    run(go, ['build', '-ldflags', '-s -w', '-o', `${file}.building`, module], folder)
    renameSync(`${file}.building`, file)
  }
  rmSync(folder, { recursive: true, force: true })
}

/** A `go` new enough for the peers: the one in PATH, else the toolchain module, which an older Go can fetch. */
function goCommand(): string {
  if (spawnSync('go', ['version']).error) installDebianPackages(['golang-go'])
  const version = /go1\.(\d+)/.exec(
    spawnSync('go', ['version'], { encoding: 'utf8', env: { ...process.env, GOTOOLCHAIN: 'local' } })
      .stdout ?? '',
  )
  if (Number(version?.[1]) >= 25) return 'go'
  return join(moduleFolder('go', GO_TOOLCHAIN), 'bin', 'go')
}

function moduleFolder(go: string, module: string): string {
  const folder = join(CACHE, 'build')
  mkdirSync(folder, { recursive: true })
  const out = run(go, ['mod', 'download', '-json', module], folder)
  return (JSON.parse(out) as { Dir: string }).Dir
}

function run(command: string, args: readonly string[], cwd?: string): string {
  const done = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' },
  })
  if (done.status !== 0)
    throw new Error(`${command} ${args.slice(0, 3).join(' ')} failed: ${done.error?.message ?? done.stderr}`)
  return done.stdout
}

if (import.meta.main) buildPeers()
