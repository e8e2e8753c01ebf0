// A flanneld in a host of the segment: heddle's compiled one or upstream's.
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { upstreamFlanneld } from '../../scripts/peers.ts'
import { FLANNELD } from './executable.ts'
import { eventually, Running, type Ended } from './process.ts'
import type { Host } from './segment.ts'

export type Make = 'heddle' | 'upstream'
export interface FlanneldOptions {
  readonly make?: Make
  readonly args?: readonly string[]
  /** In place of this process's environment, PATH kept. */
  readonly env?: Readonly<Record<string, string>>
  /** Another heddle than the one in dist/. */
  readonly program?: string
}

/** How a flanneld gets to its store. */
export interface StoreAccess {
  /** One URL or several, with commas. */
  readonly endpoint: string
  /** Certificates, users. */
  readonly flags?: readonly string[]
}

/** What tests read of /status. */
export interface StatusReport {
  readonly ready: boolean
  readonly phase: string
  readonly networkConfig?: { readonly refused: string }
  readonly lease?: { readonly subnet: string }
  readonly store?: { readonly troubles: Readonly<Record<string, string>> }
  readonly peers?: readonly { readonly subnet: string }[]
  /** Why each refused key is, by key. */
  readonly refused?: Readonly<Record<string, string>>
  readonly objects?: {
    readonly complete: boolean
    readonly rounds: number
    readonly repairs: number
    readonly kinds: Readonly<
      Record<string, { readonly wanted: number; readonly programmed: number; readonly repairs: number }>
    >
  }
  readonly failures?: Readonly<Record<string, unknown>>
  readonly pathMtu?: {
    readonly asked: boolean
    readonly deviceLimitBytes?: number
    readonly small: readonly { readonly subnet: string; readonly remote: string; readonly mtuBytes: number }[]
  }
  /** By tunnel device. */
  readonly checksumOffload?: Readonly<
    Record<string, { readonly txChecksumming?: 'on' | 'off'; readonly why: string }>
  >
}

export class Flanneld implements AsyncDisposable {
  readonly host: Host
  readonly make: Make
  readonly process: Running

  private constructor(host: Host, make: Make, process: Running) {
    this.host = host
    this.make = make
    this.process = process
  }

  /** Returns as soon as the process exists. */
  static launch(
    host: Host,
    store: StoreAccess,
    { make = 'heddle', args = [], env, program = FLANNELD }: FlanneldOptions = {},
  ): Flanneld {
    const heddles = [`--status-socket=${host.statusSocket}`, `--state-dir=${host.stateDir}`, '--config-file=']
    const own = make === 'heddle' ? heddles : []
    const access = [`--etcd-endpoints=${store.endpoint}`, ...(store.flags ?? [])]
    const words = [...access, `--subnet-file=${host.subnetFile}`, ...own, ...args]
    const command = make === 'heddle' ? program : upstreamFlanneld
    return new Flanneld(
      host,
      make,
      Running.start(command, words, { namespace: host.namespace, ...(env && { env }) }),
    )
  }

  /** Returns once it says that it is ready and has written subnet.env. */
  static async start(host: Host, store: StoreAccess, options: FlanneldOptions = {}): Promise<Flanneld> {
    const flanneld = Flanneld.launch(host, store, options)
    try {
      await flanneld.ready()
      return flanneld
    } catch (error) {
      await flanneld[Symbol.asyncDispose]()
      throw error
    }
  }

  async ready(withinSeconds = 20): Promise<void> {
    await this.process.line(/flannel is ready|[Rr]unning backend/, { withinSeconds })
    await eventually('subnet.env is written', () => existsSync(this.host.subnetFile) || undefined)
  }

  /** The answer of heddle's status socket to a path. */
  async ask(path: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const asking = request({ socketPath: this.host.statusSocket, path }, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        response.on('error', reject)
      })
      asking.setTimeout(5000, () => asking.destroy(new Error(`${path} was not answered within 5 s`)))
      asking.on('error', reject)
      asking.end()
    })
  }

  /** /status, read. */
  async report(): Promise<StatusReport> {
    return JSON.parse((await this.ask('/status')).body) as StatusReport
  }

  /** Objects put back or taken away again because somebody else had changed them. */
  async repairs(): Promise<number> {
    return (await this.report()).objects?.repairs ?? 0
  }

  end(signal: NodeJS.Signals = 'SIGTERM', withinSeconds = 10): Promise<Ended> {
    return this.process.end(signal, withinSeconds)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}
