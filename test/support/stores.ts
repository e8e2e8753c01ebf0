// A control store on a test segment, real etcd or the embedded one, with every way in which it can go wrong:
// stopped, killed, frozen, wiped.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestHost } from './kernel.ts'
import { HEDDLE } from './executable.ts'
import { Running } from './process.ts'
import { POD_NETWORK, STORE_IP, type Segment } from './segment.ts'

export type StoreKind = 'etcd' | 'embedded'
export const PREFIX = '/coreos.com/network'
export const CONFIG_KEY = `${PREFIX}/config`

export interface BackendChoice {
  readonly Type: string
  readonly [option: string]: unknown
}
/** A network config as operators write it. */
export const networkConfig = (backend: BackendChoice, more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ Network: POD_NETWORK, EnableNFTables: true, Backend: backend, ...more })

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
  readonly kind: StoreKind
  readonly endpoint = `http://${STORE_IP}:2379`
  readonly #host: TestHost
  #folder = newFolder()
  #life = 1
  #process: Running | undefined

  private constructor(kind: StoreKind, host: TestHost) {
    this.kind = kind
    this.#host = host
  }

  /** Up and answering, with a network config unless it is undefined. */
  static async start(kind: StoreKind, segment: Segment, config?: string): Promise<TestStore> {
    const store = new TestStore(kind, segment.switch)
    try {
      await store.up()
      if (config !== undefined) await store.put(CONFIG_KEY, config)
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw error
    }
    return store
  }

  async up(): Promise<void> {
    const [command, args] = this.#command()
    this.#process = Running.start(command, args, { namespace: this.#host.namespace })
    await this.#process.line(
      this.kind === 'etcd' ? /serving (insecure )?client (requests|traffic)/ : /listening|serving|ready/i,
    )
  }

  #command(): [string, string[]] {
    const listen = ['--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint]
    const peer = [
      '--listen-peer-urls',
      'http://127.0.0.1:2380',
      '--initial-cluster-token',
      `life-${this.#life}`,
    ]
    const quick = ['--heartbeat-interval', '20', '--election-timeout', '200', '--logger', 'zap']
    return this.kind === 'etcd'
      ? ['etcd', ['--data-dir', this.#folder, ...listen, ...peer, ...quick]]
      : [HEDDLE, ['store', '--listen', `${STORE_IP}:2379`, '--data-dir', this.#folder]]
  }

  get process(): Running {
    if (this.#process === undefined) throw new Error('the store is not up')
    return this.#process
  }

  async kill(): Promise<void> {
    await this.process.end('SIGKILL')
  }

  /** Answers nothing but keeps its connections, until `thaw`. */
  freeze(): void {
    this.process.signal('SIGSTOP')
  }
  thaw(): void {
    this.process.signal('SIGCONT')
  }

  /** Kills it and loses all it knew; `up` then starts an empty one, with another cluster id if it is `replaced`. */
  async wipe({ replaced = false } = {}): Promise<void> {
    await this.kill()
    if (replaced) this.#life++
    rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = newFolder()
  }

  /** Runs etcdctl against it; its stdout. */
  etcdctl(...args: readonly string[]): string {
    const words = [`--net=${this.#host.namespace.path}`, 'etcdctl', `--endpoints=${this.endpoint}`, ...args]
    const done = spawnSync('nsenter', words, {
      encoding: 'utf8',
      env: { ...process.env, ETCDCTL_API: '3' },
      timeout: 20_000,
    })
    if (done.status !== 0) throw new Error(`etcdctl ${args.join(' ')} failed: ${done.stderr}${done.stdout}`)
    return done.stdout
  }

  async put(key: string, value: string): Promise<void> {
    this.etcdctl('put', '--', key, value)
  }
  async delete(key: string): Promise<void> {
    this.etcdctl('del', '--', key)
  }
  /** Key and value of all leases. */
  async leases(): Promise<ReadonlyMap<string, string>> {
    const lines = this.etcdctl('get', '--prefix', '--', `${PREFIX}/subnets/`).split('\n')
    const found = new Map<string, string>()
    for (let i = 0; i + 1 < lines.length; i += 2) found.set(lines[i] ?? '', lines[i + 1] ?? '')
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process?.running) this.#process.signal('SIGCONT')
    await this.#process?.[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'heddle-test-store-'))
