// As much of etcd as one who follows a range sees, in this process, for tests of what no etcd would say: reads of now
// and of before, watches whose streams the test can get at, compaction, another store in its place.
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import type { ServerHttp2Stream } from 'node:http2'
import {
  RangeRequestSchema,
  RangeResponseSchema,
  ResponseHeaderSchema,
  WatchRequestSchema,
  WatchResponseSchema,
} from '../../src/store/embedded/gen/etcdserverpb/rpc_pb.ts'
import { Event_EventType } from '../../src/store/embedded/gen/mvccpb/kv_pb.ts'
import { encodeFrame, FrameReader } from '../../src/store/etcd/frame.ts'
import { GRPC, refuse, respond } from './grpc-server.ts'

const OUT_OF_RANGE = 11

interface Entry {
  readonly revision: bigint
  readonly key: string
  /** Undefined: removed. */
  readonly value: string | undefined
}

/** As much of etcd as a follower sees: reads of now and of before, and one watch at a time. */
export class ScriptedEtcd {
  #clusterId = 1n
  #life = 1n
  #compacted = 0n
  #log: Entry[] = []
  readonly #watches = new Set<ServerHttp2Stream>()

  get revision(): bigint {
    return 1n + BigInt(this.#log.length)
  }

  write(key: string, value: string | undefined): void {
    const entry = { revision: this.revision + 1n, key, value }
    this.#log.push(entry)
    for (const stream of this.#watches) stream.write(this.#events([entry]))
  }

  compact(): void {
    this.#compacted = this.revision
  }

  /** Another store is in its place: the same id, or another one. */
  reset(clusterId: bigint): void {
    this.#clusterId = clusterId
    this.#life++
    this.#log = []
    this.#compacted = 0n
    this.eachWatch((stream) => stream.destroy())
  }

  get watches(): number {
    return this.#watches.size
  }

  eachWatch(act: (stream: ServerHttp2Stream) => void): void {
    this.#watches.forEach(act)
  }

  contentAt(revision: bigint): Map<string, Entry & { readonly created: bigint }> {
    const content = new Map<string, Entry & { readonly created: bigint }>()
    for (const entry of this.#log)
      if (entry.revision > revision) break
      else if (entry.value === undefined) content.delete(entry.key)
      else content.set(entry.key, { ...entry, created: content.get(entry.key)?.created ?? entry.revision })
    return content
  }

  answer(stream: ServerHttp2Stream, path: string): void {
    const reader = new FrameReader(1 << 20)
    stream.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk))
        if (path.endsWith('/Range')) this.#range(stream, message)
        else this.#watch(stream, message)
    })
  }

  get #header() {
    return { clusterId: this.#clusterId, revision: this.revision }
  }

  #range(stream: ServerHttp2Stream, message: Uint8Array): void {
    const { key, rangeEnd, revision } = fromBinary(RangeRequestSchema, message)
    if (revision !== 0n && revision < this.#compacted)
      return refuse(stream, OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted')
    if (revision > this.revision)
      return refuse(stream, OUT_OF_RANGE, 'etcdserver: mvcc: required revision is a future revision')
    const [from, end] = [Buffer.from(key).toString(), Buffer.from(rangeEnd).toString()]
    const kvs = [...this.contentAt(revision === 0n ? this.revision : revision).values()]
      .filter((entry) => (end === '' ? entry.key === from : entry.key >= from && entry.key < end))
      .map((entry) => this.#kv(entry, entry.created))
    const answer = create(RangeResponseSchema, { header: this.#header, kvs })
    return respond(stream, [encodeFrame(toBinary(RangeResponseSchema, answer))])
  }

  #watch(stream: ServerHttp2Stream, message: Uint8Array): void {
    const { requestUnion } = fromBinary(WatchRequestSchema, message)
    if (requestUnion.case !== 'createRequest') return
    const { startRevision } = requestUnion.value
    stream.respond(GRPC)
    stream.write(this.#frame({ created: true }))
    if (startRevision <= this.#compacted) {
      stream.write(this.#frame({ canceled: true, compactRevision: this.#compacted }))
      return
    }
    const missed = this.#log.filter((entry) => entry.revision >= startRevision)
    if (missed.length > 0) stream.write(this.#events(missed))
    this.#watches.add(stream)
    stream.on('close', () => this.#watches.delete(stream))
  }

  #kv({ revision, key, value }: Entry, created: bigint) {
    const bytes = { key: Buffer.from(key), value: Buffer.from(value ?? '') }
    // As etcd's ids of leases, which are hardly ever given twice.
    const lease = (this.#life << 32n) + revision
    return { ...bytes, modRevision: revision, createRevision: created, lease }
  }

  #events(entries: readonly Entry[]): Uint8Array {
    const events = entries.map((entry) => {
      const created = this.contentAt(entry.revision).get(entry.key)?.created ?? 0n
      const type = entry.value === undefined ? Event_EventType.DELETE : Event_EventType.PUT
      return { type, kv: this.#kv(entry, created) }
    })
    return this.#frame({ events })
  }

  #frame(answer: MessageInitShape<typeof WatchResponseSchema>): Uint8Array {
    const whole = create(WatchResponseSchema, answer)
    whole.header = create(ResponseHeaderSchema, this.#header)
    return encodeFrame(toBinary(WatchResponseSchema, whole))
  }
}
