// The parts of one store, wired: file, key space, writes, leases, compaction, watches.
import { ChangeWriter } from './keys/change-set.ts'
import { Compaction } from './keys/compaction.ts'
import { Database } from './file/database.ts'
import { Identity } from './file/identity.ts'
import { Leases } from './leases/leases.ts'
import { Revisions } from './keys/revisions.ts'
import { WatchHub } from './watch/watch-hub.ts'
import { WriteQueue } from './keys/write-queue.ts'

export class Engine implements Disposable {
  readonly database: Database
  readonly identity: Identity
  readonly revisions: Revisions
  readonly hub: WatchHub
  readonly queue: WriteQueue
  readonly leases: Leases
  readonly compaction: Compaction

  /** `failed` hears when the file can't be written any more; the process should end then. */
  constructor(directory: string, failed: (error: unknown) => void) {
    this.database = Database.open(directory)
    this.identity = Identity.begin(this.database)
    this.revisions = new Revisions(this.database)
    this.hub = new WatchHub(this.revisions)
    this.queue = new WriteQueue({
      database: this.database,
      writer: new ChangeWriter(this.database, this.revisions),
      published: (changes) => this.hub.publish(changes),
      failed,
    })
    this.leases = new Leases(this.database, this.queue)
    this.compaction = new Compaction(this.database, this.queue, this.revisions, failed)
  }

  [Symbol.dispose](): void {
    this.leases[Symbol.dispose]()
    this.compaction[Symbol.dispose]()
    this.queue.flush()
    this.database[Symbol.dispose]()
  }
}
