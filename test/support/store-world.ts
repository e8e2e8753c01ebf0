// A store server with a network config, raw access to its keys, and stores of ours that talk to it, by a line that
// can be cut: `await using world = await StoreWorld.start('etcd')`.
import { parseIPv4, type IPv4 } from '../../src/model/ip.ts'
import type { Json, LeaseAttributes } from '../../src/model/lease.ts'
import { parseNetworkConfig } from '../../src/model/net-config.ts'
import { parsePrefix } from '../../src/model/prefix.ts'
import { Channel } from '../../src/store/etcd/channel.ts'
import { keysUnder, oneKey, put, read, remove, transact, type KeyValue } from '../../src/store/etcd/kv.ts'
import { EtcdStore, type EtcdStoreOptions } from '../../src/store/etcd/store.ts'
import { StoreError, type LeaseWish } from '../../src/store/store.ts'
import { KV, Lease } from './etcd-api.ts'
import { EtcdServer, type EtcdKind } from './etcd.ts'
import { Line } from './line.ts'

export const PREFIX = '/coreos.com/network'
export const CONFIG_KEY = `${PREFIX}/config`
export const leaseKey = (name: string): string => `${PREFIX}/subnets/${name}`

export const ip4 = (text: string): IPv4 => {
  const ip = parseIPv4(text)
  if (ip === undefined) throw new Error(`not an IPv4 address: ${text}`)
  return ip
}
export const attributes = (publicIp: string, backendData: Json = { VNI: 1 }): LeaseAttributes => ({
  publicIp: ip4(publicIp),
  publicIpv6: undefined,
  backendType: 'vxlan',
  backendData,
  backendV6Data: undefined,
})
/** What such a host's lease has for a value. */
export const leaseValue = (publicIp: string, backendData: Json = { VNI: 1 }): string =>
  `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":${JSON.stringify(backendData)}}`

export interface WishOptions {
  readonly owns?: LeaseWish['owns']
  readonly backendData?: Json
  readonly previous?: readonly string[]
}
/** The wish of the host with that address, on the network of that config. */
export const wishOf = (publicIp: string, config: object, options: WishOptions = {}): LeaseWish => ({
  config: parseNetworkConfig(JSON.stringify(config)),
  attributes: () => attributes(publicIp, options.backendData),
  publicIp: ip4(publicIp),
  ...(options.owns && { owns: options.owns }),
  previous: (options.previous ?? []).map((text) => parsePrefix(text)).filter((p) => p !== undefined),
})

export class StoreWorld implements AsyncDisposable {
  readonly server: EtcdServer
  readonly line: Line
  /** For all that the test itself waits for. */
  readonly stop = new AbortController()
  readonly #channel: Channel
  readonly #stores: EtcdStore[] = []

  private constructor(server: EtcdServer, line: Line) {
    this.server = server
    this.line = line
    this.#channel = new Channel({ endpoints: [server.endpoint] })
  }

  static async start(kind: EtcdKind): Promise<StoreWorld> {
    const server = await EtcdServer.start(kind, { inMemory: true })
    return new StoreWorld(server, await Line.to(server.port))
  }

  get signal(): AbortSignal {
    return this.stop.signal
  }

  /** A store as a daemon has one; `reports` is what it told of its state. */
  store(
    options: Partial<EtcdStoreOptions> = {},
  ): EtcdStore & { readonly reports: (StoreError | undefined)[] } {
    const reports: (StoreError | undefined)[] = []
    const store = new EtcdStore({
      endpoints: [this.line.endpoint],
      prefix: PREFIX,
      renewMarginMinutes: 60,
      report: (error) => reports.push(error),
      ...options,
    })
    this.#stores.push(store)
    return Object.assign(store, { reports })
  }

  /** Past the line, as another writer; `ttlSeconds` gives the key an end. Its revision. */
  async put(key: string, value: string | object, ttlSeconds?: number): Promise<bigint> {
    const lease = ttlSeconds === undefined ? 0n : await this.grant(ttlSeconds)
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return (await transact(this.#channel, [], [put(key, text, lease)], this.signal)).at.revision
  }

  /** Several keys in one revision. */
  async putAll(entries: readonly (readonly [string, string])[]): Promise<void> {
    await transact(
      this.#channel,
      [],
      entries.map(([key, value]) => put(key, value, 0n)),
      this.signal,
    )
  }

  async remove(key: string): Promise<void> {
    await transact(this.#channel, [], [remove(key)], this.signal)
  }

  async get(key: string): Promise<KeyValue | undefined> {
    return (await read(this.#channel, oneKey(key), this.signal)).keys[0]
  }

  /** The names of the keys under `subnets/`. */
  async leaseNames(): Promise<string[]> {
    return (await this.leases()).map(({ key }) => key.slice(leaseKey('').length))
  }

  async leases(): Promise<readonly KeyValue[]> {
    return (await read(this.#channel, keysUnder(leaseKey('')), this.signal)).keys
  }

  async grant(ttlSeconds: number): Promise<bigint> {
    return (await this.#channel.unary(Lease.leaseGrant, { TTL: BigInt(ttlSeconds) }, this.signal)).ID
  }

  /** As `etcdctl lease revoke` does: all keys attached to it go. */
  async revoke(id: bigint): Promise<void> {
    await this.#channel.unary(Lease.leaseRevoke, { ID: id }, this.signal)
  }

  /** Seconds that an etcd lease has left, and was granted. */
  async lifeOf(id: bigint): Promise<{ left: number; granted: number }> {
    const { TTL, grantedTTL } = await this.#channel.unary(Lease.leaseTimeToLive, { ID: id }, this.signal)
    return { left: Number(TTL), granted: Number(grantedTTL) }
  }

  /** Forgets all that isn't now; done already is done. */
  async compact(): Promise<void> {
    const { header } = await this.#channel.unary(KV.range, { key: Buffer.from('x') }, this.signal)
    const revision = header?.revision ?? 0n
    const compacted = this.#channel.unary(KV.compact, { revision, physical: true }, this.signal)
    await compacted.catch((error: unknown) => {
      if (!(error instanceof StoreError && error.code === 'compacted')) throw error
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort(new Error('the test is over'))
    for (const store of this.#stores) await store[Symbol.asyncDispose]()
    this.#channel[Symbol.dispose]()
    await this.line[Symbol.asyncDispose]()
    await this.server[Symbol.asyncDispose]()
  }
}

/** Reads an endless stream in the background, so that a test can wait for what it expects of it. */
export class Collector<T> {
  /** All that came. */
  readonly seen: T[] = []
  readonly #reading: Promise<void>
  #next = 0
  #over: { readonly error: unknown } | undefined
  #come = Promise.withResolvers<void>()

  constructor(source: AsyncIterable<T>) {
    this.#reading = this.#read(source)
  }

  /** The first that matches, after the last one that was waited for. */
  async until(matches: (one: T) => boolean, withinMs = 20_000): Promise<T> {
    const deadline = performance.now() + withinMs
    for (;;) {
      while (this.#next < this.seen.length) {
        const one = this.seen[this.#next++] as T
        if (matches(one)) return one
      }
      if (this.#over) throw new Error('the stream ended before that', { cause: this.#over.error })
      const left = deadline - performance.now()
      const timer = Promise.withResolvers<'late'>()
      const timeout = setTimeout(() => timer.resolve('late'), Math.max(0, left))
      const first = await Promise.race([this.#come.promise, timer.promise])
      clearTimeout(timeout)
      if (first === 'late') throw new Error(`nothing of that came; what came: ${shown(this.seen.slice(-5))}`)
    }
  }

  /** What ended it. */
  async end(): Promise<unknown> {
    await this.#reading
    return this.#over?.error
  }

  async #read(source: AsyncIterable<T>): Promise<void> {
    try {
      for await (const one of source) {
        this.seen.push(one)
        this.#tell()
      }
      this.#over = { error: undefined }
    } catch (error) {
      this.#over = { error }
    }
    this.#tell()
  }

  #tell(): void {
    const come = this.#come
    this.#come = Promise.withResolvers()
    come.resolve()
  }
}

const shown = (values: unknown): string =>
  JSON.stringify(values, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
