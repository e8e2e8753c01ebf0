// This host's lease, kept: renewed in time, put again when it vanishes, given up only when another host holds it.
import { formatLeaseAttributes, parseSubnetKey, publisherOf, subnetsOf } from '../../model/lease.ts'
import type { Ip } from '../../model/ip.ts'
import type { Lease, LeaseAttributes } from '../../model/lease.ts'
import { overlaps } from '../../model/prefix.ts'
import { StoreError, type LeaseWish, type OwnLease } from '../store.ts'
import { clusterName, heldOf, type Held } from './acquire.ts'
import { persist, type Client } from './client.ts'
import { follow, type Followed } from './follow.ts'
import {
  createdBefore,
  isSame,
  oneKey,
  put,
  read,
  transact,
  unchanged,
  type KeyValue,
  type Position,
} from './kv.ts'
import { grant, keepAlive } from './lease.ts'
import { Pace, untilAborted } from './wait.ts'

export interface Upkeep {
  readonly ttlSeconds: number
  /** How long before its end a lease is renewed. */
  readonly renewMarginSeconds: number
}

/** Two daemons with one PublicIP undo each other's work: they slow down to one repair in this time. */
const REPAIR_MAX_MS = 60_000
/** A key that somebody deletes again and again is put again well before peers give its host up (lease-table.ts). */
const PUT_AGAIN_MAX_MS = 400
/** setTimeout takes no more than 2^31 - 1. */
const TIMER_MAX_MS = 2_000_000_000

const isStoreError = (error: unknown): error is StoreError => error instanceof StoreError

export class EtcdOwnLease implements OwnLease {
  readonly #client: Client
  readonly #upkeep: Upkeep
  readonly #life = new AbortController()
  readonly #storeLife: AbortSignal
  readonly #end = () => {
    this.#life.abort(new DOMException('the lease was let go', 'AbortError'))
    clearTimeout(this.#timer)
    this.#notify()
  }
  readonly #guarding: Promise<void>
  /** As we know it to stand in the store. */
  #held: Held
  /** What the store should hold. */
  #value: string
  /** The address that we publish (publisherOf), and those before: a store may yet tell such a one. */
  #publicIp: Ip | undefined
  readonly #formerIps = new Set<Ip | undefined>()
  /** `lost`: another host holds the subnet. An error is a fault of ours. */
  #over: 'lost' | Error | undefined
  #timer: NodeJS.Timeout | undefined
  #expiresAt: Date | undefined
  /** The end of the last writer's work: one at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #version = 0
  #changed = Promise.withResolvers<void>()

  /** `storeLife` ends with the store. */
  constructor(client: Client, wish: LeaseWish, held: Held, upkeep: Upkeep, storeLife: AbortSignal) {
    this.#client = client
    this.#publicIp = publisherOf(held.lease) ?? wish.publicIp ?? wish.publicIpv6
    this.#held = held
    this.#value = held.kv.value
    this.#upkeep = upkeep
    this.#storeLife = storeLife
    storeLife.addEventListener('abort', this.#end, { once: true })
    this.#plan(held.ttlSeconds)
    this.#guarding = this.#supervised(this.#guard())
  }

  get lease(): Lease {
    return this.#held.lease
  }
  get expiresAt(): Date | undefined {
    return this.#expiresAt
  }
  get cluster(): string {
    return clusterName(this.#held.clusterId)
  }

  async update(attributes: LeaseAttributes, signal: AbortSignal): Promise<void> {
    this.#value = formatLeaseAttributes(attributes)
    this.#formerIps.add(this.#publicIp)
    this.#publicIp = attributes.publicIp ?? attributes.publicIpv6
    await untilAborted(this.#restore(), signal)
    if (this.#over === 'lost')
      throw new StoreError(
        'lost',
        `${this.#held.kv.key} belongs to another host now: nothing was written; acquire a lease anew`,
      )
  }

  async *changes(signal: AbortSignal): AsyncGenerator<'lost' | Lease, void, undefined> {
    let seen = this.#version
    while (!this.#life.signal.aborted) {
      if (this.#over instanceof Error) throw this.#over
      if (this.#over === 'lost') return yield 'lost'
      if (seen === this.#version) await untilAborted(this.#changed.promise, signal)
      else {
        seen = this.#version
        yield this.lease
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
    this.#storeLife.removeEventListener('abort', this.#end)
    await this.#guarding
    await this.#turn
  }

  /** Follows our key, and puts it right whenever it isn't as we left it. */
  async #guard(): Promise<void> {
    const { channel, history, trouble } = this.#client
    const overwritten = new Pace(100, REPAIR_MAX_MS, REPAIR_MAX_MS)
    const vanished = new Pace(10, PUT_AGAIN_MAX_MS, REPAIR_MAX_MS)
    const key = oneKey(this.#held.kv.key)
    for await (const seen of follow(channel, history, key, trouble('own lease'), this.#life.signal)) {
      if (!this.#isNews(seen)) continue
      const pace = isThere(seen) ? overwritten : vanished
      await pace.turn(this.#life.signal)
      await this.#restore()
      pace.done()
      if (this.#over !== undefined) return
    }
  }

  /** Whether that is something else than what we know already. */
  #isNews(seen: Followed): boolean {
    const { kv } = this.#held
    // Its revision alone says nothing: the list may be of another history than what we hold.
    if (seen.kind === 'list') return !isSame(seen.keys[0], kv)
    const { modRevision } = kv
    return seen.events.some((e) => (e.kind === 'put' ? e.kv.modRevision : e.modRevision) > modRevision)
  }

  /** The key, our value in it, and its life renewed; or `lost`. Tries until it works. */
  async #restore(): Promise<void> {
    await this.#persist('own lease', async () => {
      while (this.#over === undefined && !(await this.#putRight()));
    })
  }

  /** Starts the etcd lease's life anew. */
  async #renew(): Promise<void> {
    await this.#persist('renewal', async () => {
      for (;;) {
        const { kv } = this.#held
        if (kv.lease === 0n || this.#over !== undefined) return
        const ttlSeconds = await keepAlive(this.#client.channel, kv.lease, this.#life.signal)
        if (ttlSeconds !== undefined) return this.#plan(ttlSeconds)
        while (this.#over === undefined && !(await this.#putRight()));
      }
    })
  }

  /** One look at the key and at most one write; false if something changed in between. */
  async #putRight(): Promise<boolean> {
    const { channel } = this.#client
    const signal = this.#life.signal
    const { key } = this.#held.kv
    const value = this.#value
    const seen = await read(channel, oneKey(key), signal)
    const [kv] = seen.keys
    if (kv === undefined) return this.#putAgain()
    if (this.#isForeign(kv, seen.at)) this.#lose()
    else if (kv.value === value) this.#hold(kv, seen.at)
    else {
      const { done, at } = await transact(
        channel,
        [unchanged(key, kv.modRevision)],
        [put(key, value, kv.lease)],
        signal,
      )
      if (done) this.#hold({ ...kv, value, modRevision: at.revision }, at)
      return done
    }
    return true
  }

  /** The key has vanished: deleted, expired while the store was away, or the store was wiped. */
  async #putAgain(): Promise<boolean> {
    const { channel, keys } = this.#client
    const signal = this.#life.signal
    const { key } = this.#held.kv
    const name = keys.nameOf(key)
    const place = parseSubnetKey(name)
    if (place === undefined) throw new RangeError(`${key} names no subnet`)
    const { keys: all, at } = await read(channel, keys.leases, signal)
    const ours = subnetsOf(this.lease)
    for (const other of all) {
      if (other.key === key) return false
      if (!keys.subnetsIn(other.key).some((b) => ours.some((a) => overlaps(a, b)))) continue
      this.#lose()
      return true
    }
    const { id, ttlSeconds } = await grant(channel, this.#upkeep.ttlSeconds, signal)
    const value = this.#value
    const written = await transact(
      channel,
      [unchanged(key, 0n), ...keys.around(place).map((range) => createdBefore(range, at.revision + 1n))],
      [put(key, value, id)],
      signal,
    )
    const { revision } = written.at
    if (written.done)
      this.#hold(
        { key, value, lease: id, createRevision: revision, modRevision: revision },
        written.at,
        ttlSeconds,
      )
    return written.done
  }

  /**
   * Holds a public address that isn't ours, nor was during the life of this key. A value that can't be read says nothing of
   * another host.
   */
  #isForeign(kv: KeyValue, at: Position): boolean {
    const lease = this.#client.keys.leaseOf(kv)
    const publicIp = typeof lease === 'string' ? undefined : publisherOf(lease)
    if (publicIp === undefined || publicIp === this.#publicIp) return false
    const held = this.#held
    const isSameKey = kv.createRevision === held.kv.createRevision && at.clusterId === held.clusterId
    return !(isSameKey && this.#formerIps.has(publicIp))
  }

  /** `at`: when that was so; `ttlSeconds`: how long the etcd lease lives from now, if known. */
  #hold(kv: KeyValue, at: Position, ttlSeconds?: number): void {
    const before = this.#held.kv
    this.#held = heldOf(this.#client, kv, at.clusterId, ttlSeconds)
    // Somebody has attached the key to another lease: renew that one now, to learn how long it lives. Or to none: a
    // reservation, which we must not end.
    if (ttlSeconds !== undefined || kv.lease === 0n) this.#plan(ttlSeconds)
    else if (kv.lease !== before.lease) this.#plan(0)
    if (kv.value !== before.value || kv.createRevision !== before.createRevision) this.#notify()
  }

  #lose(): void {
    this.#over = 'lost'
    clearTimeout(this.#timer)
    this.#notify()
  }

  #notify(): void {
    this.#version++
    const changed = this.#changed
    this.#changed = Promise.withResolvers()
    changed.resolve()
  }

  /** Renews in time before an end `ttlSeconds` from now; undefined: there is no end. */
  #plan(ttlSeconds: number | undefined): void {
    clearTimeout(this.#timer)
    // 0 asks for a renewal at once, and says nothing of the end.
    this.#expiresAt = ttlSeconds ? new Date(Date.now() + ttlSeconds * 1000) : undefined
    if (ttlSeconds === undefined || this.#life.signal.aborted) return
    const seconds = Math.max(ttlSeconds - this.#upkeep.renewMarginSeconds, ttlSeconds / 10)
    this.#timer = setTimeout(
      () => void this.#supervised(this.#renew()),
      Math.min(seconds * 1000, TIMER_MAX_MS),
    )
  }

  /** Alone among our writers, again and again while the store fails. */
  #persist(who: string, work: () => Promise<void>): Promise<void> {
    const attempt = () => persist(work, this.#client.trouble(who), this.#life.signal, isStoreError)
    const turn = this.#turn.then(attempt)
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Ends with our life; a fault of ours is shown to whoever reads the changes. */
  async #supervised(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (this.#life.signal.aborted) return
      this.#over = error instanceof Error ? error : new Error(String(error))
      this.#notify()
    }
  }
}

/** Whether the key was there when that was seen. */
const isThere = (seen: Followed): boolean =>
  seen.kind === 'list' ? seen.keys.length > 0 : seen.events.at(-1)?.kind === 'put'
