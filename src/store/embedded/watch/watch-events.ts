// Changes as a watcher gets them: filtered, with what was there before if it asks for that, encoded once for all
// watchers that ask alike.
import { create, toBinary } from '@bufbuild/protobuf'
import { WatchResponseSchema } from '../gen/etcdserverpb/rpc_pb.ts'
import { Event_EventType as EventType, EventSchema, type Event } from '../gen/mvccpb/kv_pb.ts'
import { toKeyValue } from '../keys/range.ts'
import type { KeyVersion, Revisions } from '../keys/revisions.ts'

/** A response with more events than fit in this is sent in fragments, to watchers that ask for it. */
const MAX_RESPONSE_BYTES = 1536 * 1024

export interface EventWishes {
  readonly puts: boolean
  readonly deletions: boolean
  readonly previous: boolean
  readonly fragments: boolean
}

/** Changes of one range, in order. */
export class EventBatch {
  readonly #changes: readonly KeyVersion[]
  readonly #revisions: Revisions
  readonly #encoded = new Map<string, readonly Uint8Array[]>()

  constructor(changes: readonly KeyVersion[], revisions: Revisions) {
    this.#changes = changes
    this.#revisions = revisions
  }

  get firstRevision(): bigint {
    return this.#changes[0]?.mod_revision ?? 0n
  }

  get lastRevision(): bigint {
    return this.#changes.at(-1)?.mod_revision ?? 0n
  }

  /** The `events` field of WatchResponse, encoded; none when the filters leave nothing, several are fragments. */
  encode(wishes: EventWishes): readonly Uint8Array[] {
    const id = `${wishes.puts} ${wishes.deletions} ${wishes.previous} ${wishes.fragments}`
    let encoded = this.#encoded.get(id)
    if (encoded === undefined) {
      encoded = this.#encode(wishes)
      this.#encoded.set(id, encoded)
    }
    return encoded
  }

  #encode(wishes: EventWishes): Uint8Array[] {
    const parts: Uint8Array[][] = []
    let partBytes = 0
    for (const change of this.#changes) {
      if (change.version === 0n ? !wishes.deletions : !wishes.puts) continue
      const event = this.#event(change, wishes.previous)
      const bytes = toBinary(WatchResponseSchema, create(WatchResponseSchema, { events: [event] }))
      const part = parts.at(-1)
      if (part === undefined || (wishes.fragments && partBytes + bytes.byteLength > MAX_RESPONSE_BYTES)) {
        parts.push([bytes])
        partBytes = bytes.byteLength
      } else {
        part.push(bytes)
        partBytes += bytes.byteLength
      }
    }
    return parts.map((part) => Buffer.concat(part))
  }

  #event(change: KeyVersion, withPrevious: boolean): Event {
    const previous = withPrevious ? this.#revisions.before(change.key, change.mod_revision) : undefined
    return create(EventSchema, {
      type: change.version === 0n ? EventType.DELETE : EventType.PUT,
      kv: toKeyValue(change),
      ...(previous !== undefined && { prevKv: toKeyValue(previous) }),
    })
  }
}
