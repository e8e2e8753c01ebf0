// An etcd to talk to, the real one or the embedded store, in a process of its own:
// `await using server = await EtcdServer.start('embedded')`. It can be stopped, killed, frozen, wiped, begun again.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Namespace } from '../../src/sys/namespace.ts'
import { Running } from './process.ts'

export const ETCD_KINDS = ['etcd', 'embedded'] as const
export type EtcdKind = (typeof ETCD_KINDS)[number]

export interface EtcdServerOptions {
  /** Where it listens, in the namespace if one is given. */
  readonly host?: string
  readonly namespace?: Namespace
  /** Keeps its files in memory: quick, and no test of durability. */
  readonly inMemory?: boolean
  /** Another etcd than the one in PATH; of the embedded store, a compiled heddle instead of its sources. */
  readonly program?: string
  /** More flags of `heddle store` or etcd. */
  readonly flags?: readonly string[]
  /** Files in PEM; clients need a certificate signed by `clientCa` where there is one. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string }
}

const RUNNER = join(import.meta.dirname, 'embedded-store.ts')
const SERVING = /serving (insecure )?client (requests|traffic)|serving \S+ on /
const MEMORY = '/dev/shm'

export class EtcdServer implements AsyncDisposable {
  readonly kind: EtcdKind
  readonly host: string
  readonly port: number
  readonly #peerPort: number
  readonly #options: EtcdServerOptions
  #folder: string
  #life = 1
  #process: Running | undefined

  private constructor(kind: EtcdKind, port: number, peerPort: number, options: EtcdServerOptions) {
    this.kind = kind
    this.host = options.host ?? '127.0.0.1'
    this.port = port
    this.#peerPort = peerPort
    this.#options = options
    this.#folder = newFolder(options)
  }

  /** Up and serving. */
  static async start(kind: EtcdKind, options: EtcdServerOptions = {}): Promise<EtcdServer> {
    for (let attempts = 1; ; attempts++) {
      const [port, peerPort] = await freePorts()
      const server = new EtcdServer(kind, port, peerPort, options)
      try {
        await server.up()
        return server
      } catch (error) {
        const isTaken =
          server.#process?.lines.some((line) => line.includes('address already in use')) === true
        await server[Symbol.asyncDispose]()
        // Somebody was faster: ports that were free may be taken by any connection of this host.
        if (!isTaken || attempts === 3) throw error
      }
    }
  }

  /** Where it keeps its files; another one after `wipe`. */
  get folder(): string {
    return this.#folder
  }

  get endpoint(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://${this.host}:${this.port}`
  }

  get process(): Running {
    if (this.#process === undefined) throw new Error(`${this.kind} is not up`)
    return this.#process
  }

  get pid(): number {
    return this.process.pid
  }

  /** Starts it on the files it has. */
  async up(): Promise<void> {
    const [command, args] = this.#command()
    const { namespace, flags = [] } = this.#options
    this.#process = Running.start(command, [...args, ...this.#tlsFlags(), ...flags], { namespace })
    await this.#process.line(SERVING)
  }

  /** Ends it as an operator does, and starts it again. */
  async restart(): Promise<void> {
    await this.process.end('SIGTERM')
    await this.up()
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
    this.#folder = newFolder(this.#options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process?.running === true) this.thaw()
    await this.#process?.[Symbol.asyncDispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #command(): [string, string[]] {
    if (this.kind === 'embedded') {
      const { program } = this.#options
      const flags = ['--listen', `${this.host}:${this.port}`, '--allow-plaintext', '--data-dir', this.#folder]
      return program === undefined ? [process.execPath, [RUNNER, ...flags]] : [program, ['store', ...flags]]
    }
    const client = ['--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint]
    const peer = `http://127.0.0.1:${this.#peerPort}`
    const cluster = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer]
    const token = ['--initial-cluster', `default=${peer}`, '--initial-cluster-token', `life-${this.#life}`]
    const quick = ['--heartbeat-interval', '20', '--election-timeout', '200', '--logger', 'zap']
    return [
      this.#options.program ?? 'etcd',
      ['--data-dir', this.#folder, ...client, ...cluster, ...token, ...quick],
    ]
  }

  #tlsFlags(): string[] {
    const { tls } = this.#options
    if (tls === undefined) return []
    const own = ['--cert-file', tls.cert, '--key-file', tls.key]
    if (tls.clientCa === undefined) return own
    return [
      ...own,
      '--trusted-ca-file',
      tls.clientCa,
      ...(this.kind === 'etcd' ? ['--client-cert-auth'] : []),
    ]
  }
}

function newFolder({ inMemory = false }: EtcdServerOptions): string {
  return mkdtempSync(join(inMemory ? MEMORY : tmpdir(), 'heddle-test-etcd-'))
}

/** Two ports of this host's loopback that nobody listens on now. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const
  const ports = await Promise.all(
    servers.map(async (server) => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as AddressInfo).port
    }),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return [ports[0] ?? 0, ports[1] ?? 0]
}
