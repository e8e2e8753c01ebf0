// All watchers that have seen everything so far; each new change reaches those whose range holds its key.
import { rangeContains, rangeId, type KeyRange } from '../keys/key-range.ts'
import type { KeyVersion, Revisions } from '../keys/revisions.ts'
import { EventBatch } from './watch-events.ts'

export interface HubWatcher {
  readonly range: KeyRange
  /** It gets changes from this revision on. */
  readonly nextRevision: bigint
  deliver(batch: EventBatch): void
}

interface Group {
  readonly range: KeyRange
  readonly watchers: Set<HubWatcher>
}

export class WatchHub {
  readonly #revisions: Revisions
  readonly #groups = new Map<string, Group>()

  constructor(revisions: Revisions) {
    this.#revisions = revisions
  }

  join(watcher: HubWatcher): void {
    const id = rangeId(watcher.range)
    const group = this.#groups.get(id) ?? { range: watcher.range, watchers: new Set() }
    this.#groups.set(id, group)
    group.watchers.add(watcher)
  }

  leave(watcher: HubWatcher): void {
    const id = rangeId(watcher.range)
    const group = this.#groups.get(id)
    if (group?.watchers.delete(watcher) === true && group.watchers.size === 0) this.#groups.delete(id)
  }

  /** Takes the changes of one revision, all of them. */
  publish(changes: readonly KeyVersion[]): void {
    const revision = changes[0]?.mod_revision ?? 0n
    for (const group of this.#groups.values()) {
      const inside = changes.filter(({ key }) => rangeContains(group.range, key))
      if (inside.length === 0) continue
      const batch = new EventBatch(inside, this.#revisions)
      // A watcher that falls behind leaves while it is served.
      for (const watcher of group.watchers) {
        if (watcher.nextRevision <= revision) watcher.deliver(batch)
      }
    }
  }
}
