// The parts of one store, wired: file, key space, writes, leases, compaction, watches, users.
import { Auth } from './auth/auth.ts'
import { Database } from './file/database.ts'
import { Identity } from './file/identity.ts'
import { Reclaim } from './file/reclaim.ts'
import { AutoCompaction, type Retention } from './keys/auto-compaction.ts'
import { ChangeWriter } from './keys/change-set.ts'
import { Compaction } from './keys/compaction.ts'
import { Revisions } from './keys/revisions.ts'
import { WriteQueue } from './keys/write-queue.ts'
import { Leases } from './leases/leases.ts'
import { WatchHub } from './watch/watch-hub.ts'

export interface EngineOptions {
  readonly dataDirectory: string
  readonly authTokenTtlMs: number
  /** How much history is kept; undefined keeps all. */
  readonly retention: Retention | undefined
  /** Hears when the file can't be written any more; the process should end then. */
  readonly failed: (error: unknown) => void
}

export class Engine implements Disposable {
  readonly database: Database
  readonly identity: Identity
  readonly revisions: Revisions
  readonly hub: WatchHub
  readonly queue: WriteQueue
  readonly leases: Leases
  readonly compaction: Compaction
  readonly auth: Auth
  readonly #autoCompaction: AutoCompaction
  readonly #reclaim: Reclaim

  /** Throws ServeError. */
  constructor({ dataDirectory, authTokenTtlMs, retention, failed }: EngineOptions) {
    this.database = Database.open(dataDirectory)
    this.identity = Identity.begin(this.database)
    this.revisions = new Revisions(this.database)
    this.hub = new WatchHub(this.revisions)
    this.queue = new WriteQueue({
      database: this.database,
      writer: new ChangeWriter(this.database, this.revisions),
      published: (changes) => {
        this.hub.publish(changes)
        this.#autoCompaction.written()
      },
      undone: () => {
        this.revisions.reload()
        this.auth.accounts.reload()
      },
      failed,
    })
    this.leases = new Leases(this.database, this.queue)
    this.#reclaim = new Reclaim(this.database, failed)
    this.compaction = new Compaction({
      database: this.database,
      queue: this.queue,
      revisions: this.revisions,
      finished: () => this.#reclaim.look(),
      failed,
    })
    this.#autoCompaction = new AutoCompaction({
      retention,
      revisions: this.revisions,
      compact: (revision) => this.compaction.compact(revision, false),
    })
    this.auth = new Auth(this.database, authTokenTtlMs, (lease) => this.leases.keys(lease))
  }

  [Symbol.dispose](): void {
    this.leases[Symbol.dispose]()
    this.#autoCompaction[Symbol.dispose]()
    this.compaction[Symbol.dispose]()
    this.#reclaim[Symbol.dispose]()
    this.auth[Symbol.dispose]()
    this.queue.flush()
    this.database[Symbol.dispose]()
  }
}
