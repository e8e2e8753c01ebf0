// The CNI plugin as a runtime calls it, a process each call: `await using node = await cniNode()` is a host whose
// pods it serves, with directories of its own.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../src/cni/json.ts'
import { kernel, type TestHost } from './kernel.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'cni', 'main.ts')
const SCRIPT = `import { cniMain } from '${MAIN}'; process.exit(await cniMain())`
/** Where Debian keeps the stock plugins. */
export const STOCK = '/usr/lib/cni'
export const IPV6_ENV = 'FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00::1/64\n'
export const SUBNET_ENV =
  'FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n'

export interface Answer {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly json: Record<string, unknown>
}
export interface Wish {
  readonly id?: string
  readonly ifname?: string
  readonly config?: JsonObject
  readonly env?: Readonly<Record<string, string>>
}

export type CniNode = Awaited<ReturnType<typeof cniNode>>

/** A host that gives pods addresses. Disposal takes all of it away, files included. */
export async function cniNode(subnetEnv = SUBNET_ENV) {
  await using made = new AsyncDisposableStack()
  const own = made.use(await kernel())
  const root = made.adopt(mkdtempSync(join(tmpdir(), 'heddle-cni-')), (path) =>
    rmSync(path, { recursive: true }),
  )
  const at = (...names: string[]) => join(root, ...names)
  writeFileSync(at('subnet.env'), subnetEnv)
  const conf: JsonObject = {
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'flannel',
    subnetFile: at('subnet.env'),
    dataDir: at('flannel'),
    statusSocket: at('flanneld.sock'),
    ipam: { dataDir: at('networks') },
    delegate: { hairpinMode: true, isDefaultGateway: true },
  }
  const files = (name: string): string[] => (existsSync(at(name)) ? readdirSync(at(name)).sort() : [])
  const held = made.move()
  return {
    own,
    at,
    conf,
    pod: async () => held.use(await kernel()),
    call: (command: string, pod: TestHost | string, wish: Wish = {}): Promise<Answer> =>
      run(
        own,
        { ...conf, ...wish.config },
        environment(command, typeof pod === 'string' ? pod : pod.namespace.path, wish),
      ),
    /** A call that is killed once a file of the node's is there, or has ended before. */
    killed: (command: string, pod: TestHost, file: string) =>
      kill(own, conf, environment(command, pod.namespace.path), at(file)),
    states: () => files('flannel'),
    given: () => files('networks/cbr0').filter((name) => /^\d+\.|:/.test(name)),
    links: async () =>
      (await own.ipJson('link')).map((link) => String(link['ifname'])).filter((n) => n !== 'lo'),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

type Environment = Readonly<Record<string, string>>

const environment = (command: string, netns: string, wish: Wish = {}): Environment => ({
  CNI_COMMAND: command,
  CNI_CONTAINERID: wish.id ?? 'c1',
  CNI_NETNS: netns,
  CNI_IFNAME: wish.ifname ?? 'eth0',
  CNI_PATH: STOCK,
  ...wish.env,
})

/** nsenter becomes the plugin: its process is the one that is started. */
const start = (host: TestHost, env: Environment) =>
  spawn('nsenter', [`--net=${host.namespace.path}`, process.execPath, '-e', SCRIPT], {
    env: { ...env, PATH: process.env['PATH'] },
    stdio: ['pipe', 'pipe', 'pipe'],
  })

async function kill(host: TestHost, config: JsonObject, env: Environment, file: string): Promise<void> {
  const child = start(host, env)
  child.stdin.on('error', () => undefined)
  const closed = new Promise((resolve) => child.on('close', resolve))
  child.stdin.end(JSON.stringify(config))
  while (child.exitCode === null && !existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 1))
  child.kill('SIGKILL')
  await closed
}

function run(host: TestHost, config: JsonObject, env: Environment): Promise<Answer> {
  const child = start(host, env)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.on('error', () => undefined)
  child.stdin.end(JSON.stringify(config))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      const json = stdout.startsWith('{') ? (JSON.parse(stdout) as Record<string, unknown>) : {}
      resolve({ code, stdout, stderr, json })
    })
  })
}

export const ipsOf = (answer: Answer): string[] =>
  ((answer.json['ips'] ?? []) as { address: string }[]).map(({ address }) => address)
/** Throws if the ADD failed. */
export const added = (answer: Answer): Answer => {
  if (answer.code !== 0) throw new Error(`ADD failed: ${answer.stdout}${answer.stderr}`)
  return answer
}
/** A delegate `fake` that keeps what it is told, and fails at the commands that it is told to fail at. */
export function fakeDelegate(node: CniNode) {
  mkdirSync(node.at('bin'))
  writeFileSync(
    node.at('bin', 'fake'),
    `#!/bin/sh
[ $CNI_COMMAND = VERSION ] && { echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}'; exit 0; }
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $(cat)" >> ${node.at('calls')}
[ -e ${node.at('fail')}-$CNI_COMMAND ] && { echo '{"code":117,"msg":"no","details":"today"}'; exit 1; }
[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0","ips":[]}'
exit 0
`,
    { mode: 0o755 },
  )
  return {
    wish: {
      config: { delegate: { type: 'fake', answer: 42 } },
      env: { CNI_PATH: `/nowhere:${node.at('bin')}` },
    },
    /** Command, container, interface and config of each call. */
    calls: (): string[] => readFileSync(node.at('calls'), 'utf8').trim().split('\n'),
    fails: (command: string) => writeFileSync(node.at(`fail-${command}`), ''),
    succeeds: (command: string) => rmSync(node.at(`fail-${command}`)),
  }
}
/** The stock bridge as a runtime calls it, for the container c1; what it printed. Throws if it failed. */
export const stockBridge = (node: CniNode, pod: TestHost, command: string, config: string): Promise<string> =>
  node.own.sh(
    `CNI_COMMAND=${command} CNI_CONTAINERID=c1 CNI_NETNS=${pod.namespace.path} CNI_IFNAME=eth0 CNI_PATH=${STOCK} ${STOCK}/bridge <<'END'\n${config}\nEND`,
  )
/** The stock portmap behind the plugin in a conflist, as a runtime calls it with the plugin's result. */
export const stockPortmap = (
  node: CniNode,
  pod: TestHost,
  command: string,
  previous: Answer,
  portMappings: readonly JsonObject[],
): Promise<string> =>
  node.own.sh(
    `CNI_COMMAND=${command} CNI_CONTAINERID=c1 CNI_NETNS=${pod.namespace.path} CNI_IFNAME=eth0 CNI_PATH=${STOCK} ${STOCK}/portmap <<'END'\n${JSON.stringify(
      {
        cniVersion: '1.0.0',
        name: 'cbr0',
        type: 'portmap',
        capabilities: { portMappings: true },
        runtimeConfig: { portMappings },
        prevResult: previous.json,
      },
    )}\nEND`,
  )
/** One answered ping. */
export const reaches = (from: TestHost, to: string) => from.sh(`ping -n -c 1 -W 5 ${to}`)
