// The etcd store: config, leases and this host's lease in etcd's v3 API, also as the embedded store serves it.
import { parseNetworkConfig, NetworkConfigError } from '../../model/net-config.ts'
import type { Lease } from '../../model/lease.ts'
import type { ConfigEvent, LeaseEvent, LeaseWish, OwnLease, Rejected, Store, StoreError } from '../store.ts'
import { acquire } from './acquire.ts'
import type { CertificateInUse } from './certificates.ts'
import { Channel, type ChannelOptions } from './channel.ts'
import { persist, type Client } from './client.ts'
import { follow, type Followed, type Listed } from './follow.ts'
import { History } from './history.ts'
import { Keys } from './keys.ts'
import { LastLook } from './look.ts'
import { oneKey, put, transact, unchanged, type KeyRange, type KeyValue } from './kv.ts'
import { kvRange } from './methods.ts'
import { EtcdOwnLease } from './own-lease.ts'
import { releasable, type Releasable } from './release.ts'
import type { Note } from './renewal.ts'
import type { KeyEvent } from './watch.ts'

export interface EtcdStoreOptions extends ChannelOptions {
  /** e.g. `/coreos.com/network`. */
  readonly prefix: string
  readonly renewMarginMinutes: number
  /** Life of a lease without renewal; upstream's 24 h unless given. */
  readonly ttlSeconds?: number
  /** Told once that the store fails, and why; once when that changes to another kind of failure; once when all is well. */
  readonly report?: (error: StoreError | undefined) => void
  /** Yields when what `tls` gives may be something else: a connection with that takes over then, once it works. */
  readonly tlsChanges?: (signal: AbortSignal) => AsyncIterable<unknown>
  /** Told what becomes of changed TLS files. */
  readonly note?: (note: Note) => void
  /** Told of each failure, and each time that what failed, or is followed, is heard of; `who` as in `troubles`. */
  readonly heard?: (who: string, error: StoreError | undefined) => void
}

const DAY_SECONDS = 24 * 3600
/** Who is in trouble while changed TLS files don't work: the store answers all the same. */
const CERTIFICATES = 'certificates'

export class EtcdStore implements Store {
  readonly name: string
  readonly #client: Client
  readonly #options: EtcdStoreOptions
  readonly #life = new AbortController()
  readonly #troubles = new Map<string, StoreError>()
  #reported: StoreError['code'] | undefined

  constructor(options: EtcdStoreOptions) {
    this.#options = options
    this.name = `etcd ${options.endpoints.join(',')} under ${options.prefix}`
    this.#client = {
      channel: new Channel(options),
      history: new History(),
      keys: new Keys(options.prefix),
      lastLook: new LastLook(),
      trouble: (who) => (error) => this.#trouble(who, error),
    }
    const { tlsChanges } = options
    if (tlsChanges !== undefined) void this.#keepRenewed(tlsChanges)
  }

  /** What can't go on now, by what it's for ("leases", "config", "config proposal", "own lease", "renewal", "acquire", "certificates"). */
  get troubles(): ReadonlyMap<string, StoreError> {
    return this.#troubles
  }

  async *configs(signal: AbortSignal): AsyncGenerator<ConfigEvent, never, undefined> {
    const key = this.#client.keys.config
    let last: string | undefined | null = null
    for await (const followed of this.#follow('config', oneKey(key), signal)) {
      const values =
        followed.kind === 'list'
          ? [followed.keys[0]?.value]
          : followed.events.map((event) => (event.kind === 'put' ? event.kv.value : undefined))
      // Only the newest counts.
      const value = values.at(-1)
      if (value === last) continue
      last = value
      yield value === undefined ? { kind: 'missing', key } : configEvent(key, value)
    }
    throw new Error('following a range has no end')
  }

  async proposeConfig(json: string, signal: AbortSignal): Promise<boolean> {
    const { channel, keys, trouble } = this.#client
    const isNone = unchanged(keys.config, 0n)
    const attempt = () => transact(channel, [isNone], [put(keys.config, json, 0n)], signal)
    return (await persist(attempt, trouble('config proposal'), signal)).done
  }

  async *leases(signal: AbortSignal): AsyncGenerator<LeaseEvent, never, undefined> {
    const range = this.#client.keys.leases
    // Acquiring has just read and parsed them all.
    let looked = this.#client.lastLook.take()
    for await (const followed of this.#follow('leases', range, signal, looked)) {
      if (followed.kind === 'list') {
        const { keys } = followed
        const leases = looked?.keys === keys ? looked.leases : keys.map((kv) => this.#client.keys.leaseOf(kv))
        looked = undefined
        yield this.#snapshot(followed.history, keys, leases)
      } else for (const event of followed.events) yield this.#leaseEvent(event, followed.missed)
    }
    throw new Error('following a range has no end')
  }

  async acquire(wish: LeaseWish, signal: AbortSignal): Promise<OwnLease> {
    const ttlSeconds = this.#options.ttlSeconds ?? DAY_SECONDS
    const held = await persist(
      () => acquire(this.#client, wish, ttlSeconds, signal),
      this.#client.trouble('acquire'),
      signal,
    )
    const renewMarginSeconds = this.#options.renewMarginMinutes * 60
    return new EtcdOwnLease(this.#client, wish, held, { ttlSeconds, renewMarginSeconds }, this.#life.signal)
  }

  /** Goes over to the TLS files as they are now, once a connection with them works. Throws StoreError if it doesn't. */
  renewCertificates(signal: AbortSignal): Promise<'renewed' | 'same' | 'idle'> {
    const { channel, keys } = this.#client
    // What all of us may read, so that missing rights of another certificate's name show.
    const { key, end } = oneKey(keys.config)
    return channel.renew(kvRange, { key, rangeEnd: end, revision: 0n }, signal)
  }

  /** Those of the connection in use: ours, and the server's as it presents them. */
  certificates(): Promise<readonly CertificateInUse[]> {
    return this.#client.channel.certificates()
  }

  /** The leases that `owns` knows for this host's, to be given back. Asks once. Throws StoreError. */
  releasable(
    owns: (lease: Lease, cluster: string) => boolean,
    signal: AbortSignal,
  ): Promise<readonly Releasable[]> {
    return releasable(this.#client, owns, signal)
  }

  /** All addresses of this host, after a change: what was under way from one that is gone begins anew. */
  addressesAre(addresses: ReadonlySet<string>): void {
    this.#client.channel.addressesAre(addresses)
  }

  /** Ends what is under way; leases stay in the store until they expire. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort(new DOMException('the store was closed', 'AbortError'))
    this.#client.channel[Symbol.dispose]()
    return Promise.resolve()
  }

  async #keepRenewed(changes: NonNullable<EtcdStoreOptions['tlsChanges']>): Promise<void> {
    const { keepRenewed } = await import('./renewal.ts')
    await keepRenewed(
      {
        changes,
        renew: (signal) => this.renewCertificates(signal),
        note: (note) => this.#options.note?.(note),
        trouble: this.#client.trouble(CERTIFICATES),
      },
      this.#life.signal,
    )
  }

  #follow(
    who: string,
    range: KeyRange,
    signal: AbortSignal,
    begun?: Listed,
  ): AsyncGenerator<Followed, never, undefined> {
    const { channel, history, trouble } = this.#client
    const either = AbortSignal.any([signal, this.#life.signal])
    return follow(channel, history, range, trouble(who), either, begun)
  }

  /** `read`: of each key the lease, or why it is none. */
  #snapshot(history: string, keys: readonly KeyValue[], read: readonly (Lease | string)[]): LeaseEvent {
    const leases = read.filter((lease) => typeof lease !== 'string')
    const rejected = keys.flatMap(({ key }, index) => {
      const lease = read[index]
      return typeof lease === 'string' ? [this.#rejected(key, lease)] : []
    })
    return { kind: 'snapshot', history, leases, rejected }
  }

  #leaseEvent(event: KeyEvent, missed: bigint): LeaseEvent {
    if (event.kind === 'delete') {
      const subnet = this.#client.keys.nameOf(event.key)
      return { kind: 'delete', subnet, ...(event.modRevision <= missed && { missed: true }) }
    }
    const lease = this.#client.keys.leaseOf(event.kv)
    return typeof lease === 'string'
      ? { kind: 'rejected', ...this.#rejected(event.kv.key, lease) }
      : { kind: 'put', lease }
  }

  #rejected(key: string, reason: string): Rejected {
    return { key: this.#client.keys.nameOf(key), reason: `${key}: ${reason}` }
  }

  #trouble(who: string, error: StoreError | undefined): void {
    this.#options.heard?.(who, error)
    if (error === undefined) this.#troubles.delete(who)
    else this.#troubles.set(who, error)
    const first = [...this.#troubles].find(([about]) => about !== CERTIFICATES)?.[1]
    if (first?.code === this.#reported) return
    this.#reported = first?.code
    this.#options.report?.(first)
  }
}

function configEvent(key: string, value: string): ConfigEvent {
  try {
    return { kind: 'config', config: parseNetworkConfig(value) }
  } catch (error) {
    if (!(error instanceof NetworkConfigError)) throw error
    return { kind: 'rejected', key, reason: error.message }
  }
}
