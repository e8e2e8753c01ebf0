// etcd's keys and values in our own words: ranges, reads, transactions (etcdserverpb KV).
import type { Channel } from './channel.ts'
import { kvRange, kvTxn } from './methods.ts'
import type { Compare, RequestOp } from './requests.ts'
import type { KeyValue, Position } from './responses.ts'

export type { KeyValue, Position }

const encoder = new TextEncoder()
const nothing = new Uint8Array()

/** Keys from `key` up to, not including, `end`; the one key if `end` is empty. */
export interface KeyRange {
  readonly key: Uint8Array
  readonly end: Uint8Array
}

export const oneKey = (key: string): KeyRange => ({ key: encoder.encode(key), end: nothing })

/** All keys that begin with `prefix`, which must not be empty. */
export function keysUnder(prefix: string): KeyRange {
  const key = encoder.encode(prefix)
  const end = key.slice()
  const last = end.findLastIndex((byte) => byte < 0xff)
  end[last] = (end[last] ?? 0) + 1
  return { key, end: end.subarray(0, last + 1) }
}

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
  const request = { key: range.key, rangeEnd: range.end, revision }
  const { kvs, header } = await channel.unary(kvRange, request, signal)
  return { keys: kvs, at: header }
}

/** Every key of the range was created before `revision`; true of an empty range. */
export const createdBefore = ({ key, end }: KeyRange, revision: bigint): Compare => ({
  key,
  rangeEnd: end,
  target: 'create',
  result: 'less',
  revision,
})

/** The key is as it was at that mod revision; 0n says that it doesn't exist. */
export const unchanged = (key: string, modRevision: bigint): Compare => ({
  key: encoder.encode(key),
  rangeEnd: nothing,
  target: 'mod',
  result: 'equal',
  revision: modRevision,
})

/** `lease` 0n makes a key without end. */
export const put = (key: string, value: string, lease: bigint): RequestOp => ({
  kind: 'put',
  key: encoder.encode(key),
  value: encoder.encode(value),
  lease,
})

export const remove = (key: string): RequestOp => removeRange(oneKey(key))

export const removeRange = ({ key, end }: KeyRange): RequestOp => ({ kind: 'delete', key, rangeEnd: end })

/** All operations in one revision if all conditions hold; else nothing, and `done` is false. */
export async function transact(
  channel: Channel,
  conditions: readonly Compare[],
  operations: readonly RequestOp[],
  signal: AbortSignal,
): Promise<{ readonly done: boolean; readonly at: Position }> {
  const request = { compare: conditions, success: operations }
  const { succeeded, header } = await channel.unary(kvTxn, request, signal)
  return { done: succeeded, at: header }
}
