// One call of the CNI plugin, ADD and DEL, beside Debian's bridge plugin with host-local, which is the chain that
// upstream's flannel plugin starts (its own process not counted).
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Namespace } from '../src/sys/namespace.ts'
import { FLANNEL } from '../test/support/executable.ts'
import { percentile, type Bench } from './measure.ts'

const PODS = 60
const GO_PLUGINS = '/usr/lib/cni'
const PLUGIN_PATH = `${dirname(FLANNEL)}:${GO_PLUGINS}`

export const cni: Bench = {
  name: 'cni',
  what: `ADD and DEL of ${PODS} pods one after the other, in turns with Debian's bridge + host-local`,
  async run(note) {
    using heddle = new Side('heddle', FLANNEL, flannelConfig)
    using go = new Side('go', `${GO_PLUGINS}/bridge`, bridgeConfig)
    for (let number = 0; number < PODS; number++) {
      const sides = number % 2 === 0 ? [heddle, go] : [go, heddle]
      for (const side of sides) side.pod(number)
    }
    for (const { name, add, del } of [heddle, go])
      note(
        `${name}: p99 of ADD ${percentile(add, 99).toFixed(1)} ms, of DEL ${percentile(del, 99).toFixed(1)} ms`,
      )
    const name = 'Go bridge + host-local'
    return [
      { what: 'CNI ADD', unit: 'ms', heddle: heddle.add, beside: { name, values: go.add } },
      { what: 'CNI DEL', unit: 'ms', heddle: heddle.del, beside: { name, values: go.del } },
    ]
  },
}

const flannelConfig = (folder: string): object => ({
  cniVersion: '1.0.0',
  name: 'bench',
  type: 'flannel',
  subnetFile: join(folder, 'subnet.env'),
  dataDir: join(folder, 'flannel'),
  ipam: { dataDir: join(folder, 'networks') },
  delegate: { bridge: 'cni0', hairpinMode: true, isDefaultGateway: true },
})

/** What the flannel plugin hands to bridge for the same subnet.env. */
const bridgeConfig = (folder: string): object => ({
  cniVersion: '1.0.0',
  name: 'bench',
  type: 'bridge',
  bridge: 'cni0',
  hairpinMode: true,
  isDefaultGateway: true,
  isGateway: true,
  ipMasq: false,
  mtu: 1450,
  ipam: {
    type: 'host-local',
    dataDir: join(folder, 'networks'),
    ranges: [[{ subnet: '10.244.7.0/24' }]],
    routes: [{ dst: '10.244.0.0/16' }],
  },
})

/** A host of its own for each plugin. */
class Side implements Disposable {
  readonly name: string
  readonly add: number[] = []
  readonly del: number[] = []
  readonly #host = Namespace.create()
  readonly #folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'))
  readonly #plugin: string
  readonly #config: string

  constructor(name: string, plugin: string, config: (folder: string) => object) {
    this.name = name
    this.#plugin = plugin
    writeFileSync(
      join(this.#folder, 'subnet.env'),
      'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n',
    )
    this.#config = JSON.stringify(config(this.#folder))
  }

  /** One pod comes and goes. */
  pod(number: number): void {
    using pod = Namespace.create()
    this.add.push(this.#call('ADD', pod, number))
    this.del.push(this.#call('DEL', pod, number))
  }

  #call(command: 'ADD' | 'DEL', pod: Namespace, number: number): number {
    const env = {
      PATH: process.env['PATH'] ?? '',
      CNI_COMMAND: command,
      CNI_CONTAINERID: `bench-${number}`,
      CNI_NETNS: pod.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: PLUGIN_PATH,
    }
    const started = performance.now()
    const done = this.#host.run(() =>
      spawnSync(this.#plugin, [], { input: this.#config, env, encoding: 'utf8' }),
    )
    const milliseconds = performance.now() - started
    if (done.status !== 0)
      throw new Error(
        `${this.name}: ${command} failed: ${done.error?.message ?? ''}${done.stdout}${done.stderr}`,
      )
    return milliseconds
  }

  [Symbol.dispose](): void {
    this.#host[Symbol.dispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
