// Leases: granted and revoked on the disk, running on the clock, their keys deleted with them in one revision.
import { randomBytes } from 'node:crypto'
import type { Database } from '../file/database.ts'
import type { Query } from '../file/sqlite.ts'
import { LeaseClock } from './lease-clock.ts'
import { refusal, RpcError } from '../grpc/rpc-error.ts'
import type { WriteQueue } from '../keys/write-queue.ts'

/** etcd's bounds: lessor.go maxLeaseTTL, and 1.5 election timeouts of its default configuration. */
const MAX_TTL_SECONDS = 9_000_000_000n
const MIN_TTL_SECONDS = 2n
const RETRY_SECONDS = 5n

export interface Lease {
  readonly id: bigint
  readonly ttlSeconds: bigint
}

export class Leases implements Disposable {
  readonly #queue: WriteQueue
  readonly #clock = new LeaseClock((ids) => this.#expire(ids))
  readonly #find: Query<{ ttl_seconds: bigint }>
  readonly #insert: Query<never>
  readonly #delete: Query<never>
  readonly #keys: Query<{ key: Uint8Array }>

  /** All leases of the file begin their time anew: their holders couldn't be heard while nobody listened. */
  constructor(database: Database, queue: WriteQueue) {
    this.#queue = queue
    this.#find = database.query('SELECT ttl_seconds FROM lease WHERE id = ?')
    this.#insert = database.query('INSERT INTO lease VALUES (?, ?)')
    this.#delete = database.query('DELETE FROM lease WHERE id = ?')
    this.#keys = database.query('SELECT key FROM current WHERE lease = ?1 AND lease <> 0 ORDER BY key')
    const rows = database
      .query<{ id: bigint; ttl_seconds: bigint }>('SELECT id, ttl_seconds FROM lease')
      .all()
    for (const row of rows) this.#clock.start(row.id, row.ttl_seconds)
  }

  /** As the running transaction sees it. */
  exists(id: bigint): boolean {
    return this.#find.first(id) !== undefined
  }

  /** An id of 0 lets the store choose one. */
  grant(wantedId: bigint, wantedTtlSeconds: bigint): Promise<Lease> {
    if (wantedTtlSeconds > MAX_TTL_SECONDS) throw refusal('leaseTtlTooLarge')
    const ttlSeconds = wantedTtlSeconds < MIN_TTL_SECONDS ? MIN_TTL_SECONDS : wantedTtlSeconds
    return this.#queue.submit(
      () => {
        const id = wantedId === 0n ? this.#freeId() : wantedId
        if (this.exists(id)) throw refusal('leaseExists')
        this.#insert.run(id, ttlSeconds)
        return { id, ttlSeconds }
      },
      (lease) => this.#clock.start(lease.id, lease.ttlSeconds),
    )
  }

  /** `check` may refuse it, in the transaction that would do it. */
  revoke(id: bigint, check: () => void = () => undefined): Promise<void> {
    return this.#queue.submit(
      (changes) => {
        check()
        if (this.#delete.run(id) === 0n) throw refusal('leaseNotFound')
        for (const { key } of this.#keys.all(id)) changes.delete(key)
      },
      () => this.#clock.stop(id),
    )
  }

  /** The lease's length in seconds, or undefined when there is no such lease. */
  renew(id: bigint): bigint | undefined {
    return this.#clock.renew(id)
  }

  look(id: bigint): { remainingSeconds: bigint; ttlSeconds: bigint } | undefined {
    return this.#clock.look(id)
  }

  keys(id: bigint): Uint8Array[] {
    return this.#keys.all(id).map(({ key }) => key)
  }

  ids(): bigint[] {
    return this.#clock.ids()
  }

  [Symbol.dispose](): void {
    this.#clock[Symbol.dispose]()
  }

  #freeId(): bigint {
    for (;;) {
      const id = BigInt.asUintN(63, randomBytes(8).readBigUInt64LE())
      if (id !== 0n && !this.exists(id)) return id
    }
  }

  #expire(ids: readonly bigint[]): void {
    for (const id of ids) {
      this.revoke(id).catch((error: unknown) => {
        // A holder may have revoked it at the same moment; with a full disk the lease stays until there is room.
        const gone = error instanceof RpcError && error.code === 'not_found'
        const lease = gone ? undefined : this.#find.first(id)
        if (lease !== undefined) this.#clock.start(id, lease.ttl_seconds, RETRY_SECONDS)
      })
    }
  }
}
