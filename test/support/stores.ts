// A control store on a test segment, real etcd or the embedded one, with a network config and leases of flannel's.
import { spawnSync } from 'node:child_process'
import { EtcdServer, type EtcdKind } from './etcd.ts'
import type { TestHost } from './kernel.ts'
import { POD_NETWORK, STORE_IP, type Segment } from './segment.ts'

export const PREFIX = '/coreos.com/network'
export const CONFIG_KEY = `${PREFIX}/config`

export interface BackendChoice {
  readonly Type: string
  readonly [option: string]: unknown
}
/** A network config as operators write it. Hosts lease from 10.244.100.0 on: what is below is for made-up peers. */
export const networkConfig = (backend: BackendChoice, more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    Network: POD_NETWORK,
    SubnetMin: '10.244.100.0',
    EnableNFTables: true,
    Backend: backend,
    ...more,
  })

/** The value of a VXLAN peer's lease, as another writer puts it. */
export const vxlanLease = (publicIp: string, mac: string): string =>
  JSON.stringify({
    PublicIP: publicIp,
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: mac },
  })
export const leaseKey = (subnet: string): string => `${PREFIX}/subnets/${subnet.replace('/', '-')}`

export class TestStore implements AsyncDisposable {
  /** To stop, kill, freeze, wipe and start again. */
  readonly server: EtcdServer
  readonly #host: TestHost

  private constructor(server: EtcdServer, host: TestHost) {
    this.server = server
    this.#host = host
  }

  /** Up and answering, with a network config unless it is undefined. */
  static async start(kind: EtcdKind, segment: Segment, config?: string): Promise<TestStore> {
    const namespace = segment.switch.namespace
    const server = await EtcdServer.start(kind, { host: STORE_IP, namespace })
    const store = new TestStore(server, segment.switch)
    try {
      if (config !== undefined) store.put(CONFIG_KEY, config)
      return store
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  get endpoint(): string {
    return this.server.endpoint
  }

  /** Runs etcdctl against it; its stdout. */
  etcdctl(...args: readonly string[]): string {
    return this.etcdctlWith('', ...args)
  }

  /** The same with something on stdin. */
  etcdctlWith(input: string, ...args: readonly string[]): string {
    const words = [`--net=${this.#host.namespace.path}`, 'etcdctl', `--endpoints=${this.endpoint}`, ...args]
    const done = spawnSync('nsenter', words, {
      input,
      encoding: 'utf8',
      env: { ...process.env, ETCDCTL_API: '3' },
      timeout: 20_000,
    })
    if (done.status !== 0) throw new Error(`etcdctl ${args.join(' ')} failed: ${done.stderr}${done.stdout}`)
    return done.stdout
  }

  put(key: string, value: string): void {
    this.etcdctl('put', '--', key, value)
  }
  delete(key: string): void {
    this.etcdctl('del', '--', key)
  }
  /** Key and value of all that upstream takes for leases: whatever begins so, without a slash. */
  leases(): ReadonlyMap<string, string> {
    const lines = this.etcdctl('get', '--prefix', '--', `${PREFIX}/subnets`).split('\n')
    const found = new Map<string, string>()
    for (let i = 0; i + 1 < lines.length; i += 2) found.set(lines[i] ?? '', lines[i + 1] ?? '')
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}
