// etcd's keys and values in our own words: ranges, reads, transactions (etcdserverpb KV).
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Channel } from './channel.ts'
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  KV,
  type CompareSchema,
  type RequestOpSchema,
  type ResponseHeader,
} from './gen/etcdserverpb/rpc_pb.ts'
import type { KeyValue as WireKeyValue } from './gen/mvccpb/kv_pb.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Keys from `key` up to, not including, `end`; the one key if `end` is empty. */
export interface KeyRange {
  readonly key: Uint8Array
  readonly end: Uint8Array
}

export interface KeyValue {
  /** Bytes that are no UTF-8 show as U+FFFD. */
  readonly key: string
  readonly value: string
  readonly createRevision: bigint
  readonly modRevision: bigint
  /** Id of the etcd lease it's attached to; 0n for none. */
  readonly lease: bigint
}

/** Where in the store's life an answer was given. */
export interface Position {
  readonly clusterId: bigint
  readonly revision: bigint
}

export const oneKey = (key: string): KeyRange => ({ key: encoder.encode(key), end: new Uint8Array() })

/** All keys that begin with `prefix`, which must not be empty. */
export function keysUnder(prefix: string): KeyRange {
  const key = encoder.encode(prefix)
  const end = key.slice()
  const last = end.findLastIndex((byte) => byte < 0xff)
  end[last] = (end[last] ?? 0) + 1
  return { key, end: end.subarray(0, last + 1) }
}

export const positionOf = (header: ResponseHeader | undefined): Position => ({
  clusterId: header?.clusterId ?? 0n,
  revision: header?.revision ?? 0n,
})

export const keyValueOf = (kv: WireKeyValue | undefined): KeyValue => ({
  key: decoder.decode(kv?.key),
  value: decoder.decode(kv?.value),
  createRevision: kv?.createRevision ?? 0n,
  modRevision: kv?.modRevision ?? 0n,
  lease: kv?.lease ?? 0n,
})

/** The same write of one key, as far as can be told across histories: an etcd lease's id is hardly ever given twice. */
export const isSame = (a: KeyValue | undefined, b: KeyValue): boolean =>
  a?.modRevision === b.modRevision && a.lease === b.lease && a.value === b.value

/** The keys of a range as they are now (linearizable) or were at `revision`. */
export async function read(
  channel: Channel,
  range: KeyRange,
  signal: AbortSignal,
  revision = 0n,
): Promise<{ readonly keys: readonly KeyValue[]; readonly at: Position }> {
  const request = { key: range.key, rangeEnd: range.end, revision, serializable: false }
  const answer = await channel.unary(KV.method.range, request, signal)
  return { keys: answer.kvs.map(keyValueOf), at: positionOf(answer.header) }
}

export type Condition = MessageInitShape<typeof CompareSchema>
export type Operation = MessageInitShape<typeof RequestOpSchema>

/** Every key of the range was created before `revision`; true of an empty range. */
export const createdBefore = (range: KeyRange, revision: bigint): Condition => ({
  key: range.key,
  rangeEnd: range.end,
  target: Compare_CompareTarget.CREATE,
  result: Compare_CompareResult.LESS,
  targetUnion: { case: 'createRevision', value: revision },
})

/** The key is as it was at that mod revision; 0n says that it doesn't exist. */
export const unchanged = (key: string, modRevision: bigint): Condition => ({
  key: encoder.encode(key),
  target: Compare_CompareTarget.MOD,
  result: Compare_CompareResult.EQUAL,
  targetUnion: { case: 'modRevision', value: modRevision },
})

/** `lease` 0n makes a key without end. */
export const put = (key: string, value: string, lease: bigint): Operation => ({
  request: {
    case: 'requestPut',
    value: { key: encoder.encode(key), value: encoder.encode(value), lease },
  },
})

export const remove = (key: string): Operation => ({
  request: { case: 'requestDeleteRange', value: { key: encoder.encode(key) } },
})

/** All operations in one revision if all conditions hold; else nothing, and `done` is false. */
export async function transact(
  channel: Channel,
  conditions: readonly Condition[],
  operations: readonly Operation[],
  signal: AbortSignal,
): Promise<{ readonly done: boolean; readonly at: Position }> {
  const request = { compare: [...conditions], success: [...operations] }
  const answer = await channel.unary(KV.method.txn, request, signal)
  return { done: answer.succeeded, at: positionOf(answer.header) }
}
