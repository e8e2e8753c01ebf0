// Kubernetes' own programs for tests, built with Go: kube-apiserver and kube-proxy in one executable, which costs one
// link and one copy of what they share, and the portmap plugin of the day.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { goBuild, goCommand, inBuildFolder, moduleFolder, peer } from './go.ts'

const KUBERNETES = 'v1.36.3'
const PLUGINS = 'v1.9.1'
const SLIM = ['-trimpath', '-gcflags=all=-dwarf=false']
const NO_C = { CGO_ENABLED: '0' }
/** `kube-apiserver …` or `kube-proxy …` follow it as its arguments. */
export const kubernetes = peer('kubernetes', KUBERNETES)
/** The CNI plugin for host ports, with both of its back ends. */
export const portmap = peer('portmap', PLUGINS)

export function buildKubernetesPeers(): void {
  buildKubernetes()
  buildPortmap()
}

function buildKubernetes(): void {
  if (existsSync(kubernetes)) return
  console.error(
    `heddle: building kube-apiserver and kube-proxy ${KUBERNETES} (once, about six minutes on two cores) …`,
  )
  const go = goCommand()
  const source = moduleFolder(go, `k8s.io/kubernetes@${KUBERNETES}`)
  const version = 'k8s.io/component-base/version'
  const named = `-X ${version}.gitVersion=${KUBERNETES} -X ${version}.gitMajor=1 -X ${version}.gitMinor=36`
  inBuildFolder(
    'kubernetes',
    { 'go.mod': goMod(readFileSync(join(source, 'go.mod'), 'utf8')), 'main.go': MAIN },
    // No debug information: a third less to write and link.
    (folder) => goBuild(go, folder, kubernetes, '.', [...SLIM, '-ldflags', `-s -w ${named}`], NO_C),
  )
}

function buildPortmap(): void {
  if (existsSync(portmap)) return
  console.error(`heddle: building the portmap plugin ${PLUGINS} (once, about 15 s) …`)
  const module = 'github.com/containernetworking/plugins'
  const files = {
    'go.mod': `module heddle-test/plugins\n\ngo 1.24\n\nrequire ${module} ${PLUGINS}\n`,
  }
  const version = `-s -w -X ${module}/pkg/utils/buildversion.BuildVersion=${PLUGINS}`
  inBuildFolder('plugins', files, (folder) =>
    goBuild(goCommand(), folder, portmap, `${module}/plugins/meta/portmap`, ['-ldflags', version], NO_C),
  )
}

/** Kubernetes' own go.mod names the modules that are released beside it, by paths that its module lacks. */
function goMod(ofKubernetes: string): string {
  const beside = [...ofKubernetes.matchAll(/^\s+(k8s\.io\/[a-z-]+) v0\.0\.0$/gm)].map(([, module]) => module)
  const released = KUBERNETES.replace(/^v1/, 'v0')
  return [
    'module heddle-test/kubernetes',
    'go 1.26.0',
    `require k8s.io/kubernetes ${KUBERNETES}`,
    ...beside.map((module) => `replace ${module} => ${module} ${released}`),
    '',
  ].join('\n')
}

const MAIN = `package main

import (
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() {
	commands := map[string]func() *cobra.Command{
		"kube-apiserver": apiserver.NewAPIServerCommand,
		"kube-proxy":     proxy.NewProxyCommand,
	}
	os.Args = os.Args[1:]
	os.Exit(cli.Run(commands[os.Args[0]]()))
}
`
