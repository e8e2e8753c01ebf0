// One Watch call: its watchers, those among them that are behind and read the history, and its progress reports.
import { create, toBinary } from '@bufbuild/protobuf'
import {
  WatchCreateRequest_FilterType as FilterType,
  ResponseHeaderSchema,
  WatchResponseSchema,
  type WatchCreateRequest,
  type WatchRequest,
  type WatchRequestSchema,
  type WatchResponse,
} from '../gen/etcdserverpb/rpc_pb.ts'
import type { DuplexCall, DuplexHandler } from '../grpc/grpc-server.ts'
import type { Identity } from '../file/identity.ts'
import { keyRange, type KeyRange } from '../keys/key-range.ts'
import { maximum, type Revisions } from '../keys/revisions.ts'
import { readStep } from './history-step.ts'
import { EventBatch, type EventWishes } from './watch-events.ts'
import { RpcError, statusText } from '../grpc/rpc-error.ts'
import type { HubWatcher, WatchHub } from './watch-hub.ts'

/** The watch id of answers that belong to no watch. */
const NO_WATCH = -1n

export interface WatchStreamOptions {
  readonly hub: WatchHub
  readonly revisions: Revisions
  readonly identity: Identity
  readonly progressIntervalMs: number
  /** Throws RpcError for a range that the caller may not read. */
  readonly permit: (range: KeyRange) => void
}

type Answer = Partial<
  Pick<WatchResponse, 'watchId' | 'created' | 'canceled' | 'cancelReason' | 'compactRevision'>
>

interface Watcher extends HubWatcher {
  readonly id: bigint
  readonly wishes: EventWishes
  readonly notifiesProgress: boolean
  nextRevision: bigint
  /** Whether it sent anything since the last progress report. */
  spoke: boolean
}

export class WatchStream implements DuplexHandler<typeof WatchRequestSchema> {
  readonly #call: DuplexCall<typeof WatchResponseSchema>
  readonly #options: WatchStreamOptions
  readonly #watchers = new Map<bigint, Watcher>()
  /** Those that haven't seen every change; the others are in the hub. */
  readonly #behind = new Set<Watcher>()
  #nextId = 0n
  #progressWanted = false
  #step: NodeJS.Immediate | undefined
  #progressTimer: NodeJS.Timeout | undefined

  constructor(call: DuplexCall<typeof WatchResponseSchema>, options: WatchStreamOptions) {
    this.#call = call
    this.#options = options
  }

  message({ requestUnion: request }: WatchRequest): void {
    switch (request.case) {
      case 'createRequest':
        this.#create(request.value)
        break
      case 'cancelRequest':
        this.#cancel(request.value.watchId)
        break
      case 'progressRequest':
        this.#progressWanted = true
        this.#answerProgress()
        break
      case undefined:
        break
    }
  }

  /** As in etcd, who has no more to ask goes on being told. */
  ended(): void {}

  writable(): void {
    this.#schedule()
  }

  closed(): void {
    for (const watcher of this.#watchers.values()) this.#remove(watcher)
    if (this.#step !== undefined) clearImmediate(this.#step)
    this.#step = undefined
  }

  #create(request: WatchCreateRequest): void {
    const { revisions } = this.#options
    const range = keyRange(request.key.byteLength === 0 ? Uint8Array.of(0) : request.key, request.rangeEnd)
    const reason = this.#refusalOf(range, request.watchId)
    if (reason !== undefined) {
      this.#send(revisions.revision, {
        watchId: NO_WATCH,
        created: true,
        canceled: true,
        cancelReason: reason,
      })
      return
    }
    const watcher: Watcher = {
      id: request.watchId === 0n ? this.#freeId() : request.watchId,
      range,
      wishes: {
        puts: !request.filters.includes(FilterType.NOPUT),
        deletions: !request.filters.includes(FilterType.NODELETE),
        previous: request.prevKv,
        fragments: request.fragment,
      },
      notifiesProgress: request.progressNotify,
      nextRevision:
        request.startRevision === 0n ? revisions.revision + 1n : maximum(request.startRevision, 0n),
      spoke: false,
      deliver: (batch) => this.#deliver(watcher, batch),
    }
    this.#watchers.set(watcher.id, watcher)
    this.#send(revisions.revision, { watchId: watcher.id, created: true })
    if (watcher.nextRevision > revisions.revision) this.#options.hub.join(watcher)
    else this.#behind.add(watcher)
    this.#schedule()
    if (watcher.notifiesProgress) this.#armProgress()
  }

  /** etcd's reasons (v3rpc/watch.go, mvcc/watcher.go). */
  #refusalOf(range: KeyRange, wantedId: bigint): string | undefined {
    try {
      this.#options.permit(range)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      return statusText(error)
    }
    if (range.kind === 'between' && Buffer.compare(range.key, range.end) >= 0)
      return 'mvcc: watcher range is empty'
    if (wantedId !== 0n && this.#watchers.has(wantedId)) {
      return 'mvcc: duplicate watch ID provided on the WatchStream'
    }
    return undefined
  }

  #freeId(): bigint {
    while (this.#watchers.has(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  #cancel(id: bigint): void {
    const watcher = this.#watchers.get(id)
    if (watcher === undefined) return
    this.#remove(watcher)
    this.#send(this.#options.revisions.revision, { watchId: id, canceled: true })
    this.#answerProgress()
  }

  #remove(watcher: Watcher): void {
    this.#watchers.delete(watcher.id)
    this.#behind.delete(watcher)
    this.#options.hub.leave(watcher)
    if (![...this.#watchers.values()].some(({ notifiesProgress }) => notifiesProgress)) {
      clearTimeout(this.#progressTimer)
      this.#progressTimer = undefined
    }
  }

  /** A new change, for a watcher that had seen all before it. */
  #deliver(watcher: Watcher, batch: EventBatch): void {
    if (this.#call.congested) {
      watcher.nextRevision = batch.firstRevision
      this.#options.hub.leave(watcher)
      this.#behind.add(watcher)
    } else {
      this.#sendEvents(watcher, batch, batch.lastRevision)
      watcher.nextRevision = batch.lastRevision + 1n
    }
  }

  #schedule(): void {
    if (this.#behind.size === 0 || this.#call.congested) return
    this.#step ??= setImmediate(() => {
      this.#step = undefined
      this.#catchUp()
      this.#schedule()
    })
  }

  /** One step of the watcher that has waited longest. */
  #catchUp(): void {
    const { revisions, hub } = this.#options
    const [watcher] = this.#behind
    if (watcher === undefined) return
    this.#behind.delete(watcher)
    if (watcher.nextRevision < revisions.compactRevision) {
      this.#remove(watcher)
      this.#send(0n, { watchId: watcher.id, canceled: true, compactRevision: revisions.compactRevision })
    } else {
      const { changes, nextRevision } = readStep(revisions, watcher)
      if (changes.length > 0)
        this.#sendEvents(watcher, new EventBatch(changes, revisions), revisions.revision)
      watcher.nextRevision = nextRevision
      if (nextRevision > revisions.revision) hub.join(watcher)
      else this.#behind.add(watcher)
    }
    this.#answerProgress()
  }

  #sendEvents(watcher: Watcher, batch: EventBatch, revision: bigint): void {
    const parts = batch.encode(watcher.wishes)
    for (const [index, events] of parts.entries()) {
      const header = this.#options.identity.header(revision)
      const fragment = index < parts.length - 1
      const rest = create(WatchResponseSchema, { header, watchId: watcher.id, fragment })
      this.#call.sendEncoded(toBinary(WatchResponseSchema, rest), events)
      watcher.spoke = true
    }
  }

  /** Promises that all of this call's watchers have got every change up to the newest; once that is so. */
  #answerProgress(): void {
    if (!this.#progressWanted || this.#behind.size > 0) return
    this.#progressWanted = false
    this.#send(this.#options.revisions.revision, { watchId: NO_WATCH })
  }

  #armProgress(): void {
    this.#progressTimer ??= setTimeout(() => {
      this.#progressTimer = undefined
      for (const watcher of this.#watchers.values()) {
        if (!watcher.notifiesProgress) continue
        if (!watcher.spoke && !this.#behind.has(watcher)) {
          this.#send(this.#options.revisions.revision, { watchId: watcher.id })
        }
        watcher.spoke = false
      }
      this.#armProgress()
    }, this.#options.progressIntervalMs)
  }

  #send(revision: bigint, response: Answer): void {
    const header = create(ResponseHeaderSchema, this.#options.identity.header(revision))
    this.#call.send(create(WatchResponseSchema, { ...response, header }))
  }
}
