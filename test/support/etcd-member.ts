// One member of an etcd cluster, on a machine of its own: it can be killed, frozen, wiped, cut off from others.
import { mkdtempSync, rmSync } from 'node:fs'
import { etcd36, etcdutl36 } from '../../scripts/peers.ts'
import type { CertificateFiles } from './tls-files.ts'
import type { TestHost } from './kernel.ts'
import { Running } from './process.ts'

/** Debian's, and the newest with a snapshot tool of its own. */
export const ETCD_VERSIONS = ['3.6', '3.4'] as const
export type EtcdVersion = (typeof ETCD_VERSIONS)[number]

export const CLIENT_PORT = 2379
const PEER_PORT = 2380
const SERVING = /serving client (requests|traffic)/
/** In memory: quick, and no test of durability. */
const FILES = '/dev/shm/heddle-test-member-'
/** Nothing said, as a broken line does: what is there of a connection just hears no more. */
const CUT = `
  table inet cut {
    set from { type ipv4_addr; }
    chain in { type filter hook input priority -300; ip saddr @from drop; }
    chain out { type filter hook output priority -300; ip daddr @from drop; }
  }`

export interface Launch {
  /** `m1=https://…,m2=…`: who is in the cluster when this member joins. */
  readonly cluster: string
  readonly token: string
  readonly state: 'new' | 'existing'
}

export class EtcdMember implements AsyncDisposable {
  readonly name: string
  readonly ip: string
  readonly machine: TestHost
  readonly version: EtcdVersion
  readonly #files: CertificateFiles
  #folder = newFolder()
  #process: Running | undefined
  #frozen = false

  private constructor(
    name: string,
    ip: string,
    machine: TestHost,
    version: EtcdVersion,
    files: CertificateFiles,
  ) {
    this.name = name
    this.ip = ip
    this.machine = machine
    this.version = version
    this.#files = files
  }

  /** Not running yet. */
  static async create(
    name: string,
    ip: string,
    machine: TestHost,
    version: EtcdVersion,
    files: CertificateFiles,
  ): Promise<EtcdMember> {
    await machine.sh(`nft '${CUT}'`)
    return new EtcdMember(name, ip, machine, version, files)
  }

  get endpoint(): string {
    return `https://${this.ip}:${CLIENT_PORT}`
  }

  get peerUrl(): string {
    return `https://${this.ip}:${PEER_PORT}`
  }

  get running(): boolean {
    return this.#process?.running === true
  }

  /** Running, and not frozen. */
  get answers(): boolean {
    return this.running && !this.#frozen
  }

  get process(): Running {
    if (this.#process === undefined) throw new Error(`${this.name} was never started`)
    return this.#process
  }

  /** Begins with the files it has; `launch` counts only where it has none. It serves once there is a leader: `serving`. */
  start(launch: Launch): void {
    this.#process = Running.start(this.version === '3.6' ? etcd36 : 'etcd', this.#flags(launch), {
      namespace: this.machine.namespace,
    })
  }

  async serving(): Promise<void> {
    await this.process.line(SERVING, { withinSeconds: 30 })
  }

  async kill(): Promise<void> {
    this.thaw()
    await this.process.end('SIGKILL')
  }

  /** Ends it as an operator does. */
  async stop(): Promise<void> {
    await this.process.end('SIGTERM')
  }

  /** Answers nothing but keeps its connections, and the kernel takes new ones. */
  freeze(): void {
    this.#frozen = true
    this.process.signal('SIGSTOP')
  }

  thaw(): void {
    if (!this.#frozen) return
    this.#frozen = false
    this.process.signal('SIGCONT')
  }

  /** Loses its files; it must not run. */
  wipe(): void {
    rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = newFolder()
  }

  /** Takes the state of a snapshot in place of its files; it must not run. */
  async restore(snapshot: string, { cluster, token }: Launch, more: readonly string[] = []): Promise<void> {
    this.wipe()
    // It wants to make the folder itself.
    rmSync(this.#folder, { recursive: true, force: true })
    const tool = this.version === '3.6' ? etcdutl36 : 'ETCDCTL_API=3 etcdctl'
    const identity = `--name ${this.name} --initial-advertise-peer-urls ${this.peerUrl}`
    await this.machine.sh(
      `${tool} snapshot restore ${snapshot} --data-dir ${this.#folder} ${identity} --initial-cluster ${cluster} --initial-cluster-token ${token} ${more.join(' ')}`,
    )
  }

  /** Nothing passes any more between it and that address, and nobody is told. */
  async cut(ip: string): Promise<void> {
    await this.machine.sh(`nft add element inet cut from '{ ${ip} }'`)
  }

  async mend(ip: string): Promise<void> {
    await this.machine.sh(`nft delete element inet cut from '{ ${ip} }'`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #flags({ cluster, token, state }: Launch): string[] {
    const { ca, cert, key } = this.#files
    const own = {
      name: this.name,
      'data-dir': this.#folder,
      logger: 'zap',
      'listen-client-urls': this.endpoint,
      'advertise-client-urls': this.endpoint,
      'listen-peer-urls': this.peerUrl,
      'initial-advertise-peer-urls': this.peerUrl,
      'initial-cluster': cluster,
      'initial-cluster-token': token,
      'initial-cluster-state': state,
      'client-cert-auth': true,
      'trusted-ca-file': ca,
      'cert-file': cert,
      'key-file': key,
      'peer-client-cert-auth': true,
      'peer-trusted-ca-file': ca,
      'peer-cert-file': cert,
      'peer-key-file': key,
      // Elections that tests wait for, without being held for nothing on a busy machine.
      'heartbeat-interval': 50,
      'election-timeout': 500,
    }
    return Object.entries(own).map(([flag, value]) => `--${flag}=${value}`)
  }
}

const newFolder = (): string => mkdtempSync(FILES)
