// Real peers for tests and benches, built with Go from the module proxy and cached under ~/.cache/heddle:
// upstream flanneld, and an etcd newer than Debian's. Prints nothing when all is there. `bun scripts/peers.ts` makes
// them all, Kubernetes' (kube-peers.ts) too.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BUILD, goBuild, goCommand, inBuildFolder, moduleFolder, peer, run } from './go.ts'
import { buildKubernetesPeers } from './kube-peers.ts'

const FLANNEL = 'v0.28.9'
const ETCD = 'v3.6.16'
/** Upstream's daemon, as released but for the Tencent cloud back end, whose SDK the module proxy lacks (its UDP back end wants gcc). */
export const upstreamFlanneld = peer('flanneld', FLANNEL)
/** Upstream's script that tells Docker the subnet. */
export const upstreamMkDockerOpts = peer('mk-docker-opts', `${FLANNEL}.sh`)
/** etcd 3.6, and its tool for files of members that aren't up: what restores a snapshot. */
export const etcd36 = peer('etcd', ETCD)
export const etcdutl36 = peer('etcdutl', ETCD)

export function buildPeers(): void {
  buildUpstreamFlanneld()
  fetchUpstreamScript()
  buildEtcd()
}

export function buildUpstreamFlanneld(): void {
  if (existsSync(upstreamFlanneld)) return
  console.error(`heddle: building upstream flanneld ${FLANNEL} (once, about 75 s) …`)
  const go = goCommand()
  const source = join(BUILD, `flannel-${FLANNEL}`)
  rmSync(source, { recursive: true, force: true })
  cpSync(moduleFolder(go, `github.com/flannel-io/flannel@${FLANNEL}`), source, { recursive: true })
  run('chmod', ['-R', 'u+w', source])
  const main = join(source, 'main.go')
  writeFileSync(main, readFileSync(main, 'utf8').replace(/^.*backend\/tencentvpc".*\n/m, ''))
  const version = `github.com/flannel-io/flannel/pkg/version.Version=${FLANNEL}`
  goBuild(go, source, upstreamFlanneld, '.', ['-ldflags', `-s -w -X ${version}`])
  rmSync(source, { recursive: true, force: true })
}

function fetchUpstreamScript(): void {
  if (existsSync(upstreamMkDockerOpts)) return
  const module = moduleFolder(goCommand(), `github.com/flannel-io/flannel@${FLANNEL}`)
  mkdirSync(dirname(upstreamMkDockerOpts), { recursive: true })
  cpSync(join(module, 'dist', 'mk-docker-opts.sh'), upstreamMkDockerOpts)
}

/** Both programs' modules are their main packages; a module of ours says which versions go together. */
export function buildEtcd(): void {
  if (existsSync(etcd36) && existsSync(etcdutl36)) return
  console.error(`heddle: building etcd ${ETCD} (once, about 60 s) …`)
  const go = goCommand()
  const programs = [
    ['go.etcd.io/etcd/server/v3', etcd36],
    ['go.etcd.io/etcd/etcdutl/v3', etcdutl36],
  ] as const
  inBuildFolder('etcd', { 'go.mod': 'module heddle-test/etcd\n\ngo 1.25\n' }, (folder) => {
    run(go, ['get', ...programs.map(([module]) => `${module}@${ETCD}`)], folder)
    for (const [module, file] of programs) goBuild(go, folder, file, module, ['-ldflags', '-s -w'])
  })
}

if (import.meta.main) {
  buildPeers()
  buildKubernetesPeers()
}
