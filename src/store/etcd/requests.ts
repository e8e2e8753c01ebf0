// What the client asks of etcd, of each request as much as it uses (etcdserverpb rpc.proto).
import { WireWriter } from './wire.ts'

export interface RangeRequest {
  readonly key: Uint8Array
  /** Empty for the one key. */
  readonly rangeEnd: Uint8Array
  /** 0n for now. */
  readonly revision: bigint
}

/** True if it holds for every key of the range. */
export interface Compare {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
  readonly target: 'create' | 'mod'
  readonly result: 'equal' | 'less'
  readonly revision: bigint
}

export type RequestOp =
  /** `lease` 0n makes a key without end. */
  | { readonly kind: 'put'; readonly key: Uint8Array; readonly value: Uint8Array; readonly lease: bigint }
  | { readonly kind: 'delete'; readonly key: Uint8Array; readonly rangeEnd: Uint8Array }

export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
}

export interface LeaseGrantRequest {
  /** Seconds. */
  readonly TTL: bigint
}

export interface LeaseKeepAliveRequest {
  readonly ID: bigint
}

export interface AuthenticateRequest {
  readonly name: string
  readonly password: string
}

export type WatchRequest =
  | {
      readonly kind: 'create'
      readonly key: Uint8Array
      readonly rangeEnd: Uint8Array
      readonly startRevision: bigint
    }
  | { readonly kind: 'progress' }

export const encodeRangeRequest = ({ key, rangeEnd, revision }: RangeRequest): Uint8Array =>
  new WireWriter().bytes(1, key).bytes(2, rangeEnd).int64(4, revision).finish()

export function encodeTxnRequest({ compare, success }: TxnRequest): Uint8Array {
  const wire = new WireWriter()
  for (const one of compare) wire.message(1, encodeCompare(one))
  for (const one of success) wire.message(2, encodeRequestOp(one))
  return wire.finish()
}

export const encodeLeaseGrantRequest = ({ TTL }: LeaseGrantRequest): Uint8Array =>
  new WireWriter().int64(1, TTL).finish()

export const encodeLeaseKeepAliveRequest = ({ ID }: LeaseKeepAliveRequest): Uint8Array =>
  new WireWriter().int64(1, ID).finish()

export const encodeAuthenticateRequest = ({ name, password }: AuthenticateRequest): Uint8Array =>
  new WireWriter().string(1, name).string(2, password).finish()

/** A watch is always asked for in fragments: a revision of many keys may be larger than a message may be. */
export function encodeWatchRequest(request: WatchRequest): Uint8Array {
  if (request.kind === 'progress') return new WireWriter().message(3, new Uint8Array()).finish()
  const { key, rangeEnd, startRevision } = request
  const create = new WireWriter().bytes(1, key).bytes(2, rangeEnd).int64(3, startRevision).bool(8, true)
  return new WireWriter().message(1, create.finish()).finish()
}

/** Compare.CompareResult; Compare.CompareTarget, and the field of the `oneof` that its operand goes into. */
const RESULTS = { equal: 0, less: 2 } as const
const TARGETS = { create: { target: 1, operand: 5 }, mod: { target: 2, operand: 6 } } as const

const encodeCompare = (compare: Compare): Uint8Array =>
  new WireWriter()
    .enumeration(1, RESULTS[compare.result])
    .enumeration(2, TARGETS[compare.target].target)
    .bytes(3, compare.key)
    .chosenInt64(TARGETS[compare.target].operand, compare.revision)
    .bytes(64, compare.rangeEnd)
    .finish()

const encodeRequestOp = (op: RequestOp): Uint8Array =>
  op.kind === 'put'
    ? new WireWriter()
        .message(2, new WireWriter().bytes(1, op.key).bytes(2, op.value).int64(3, op.lease).finish())
        .finish()
    : new WireWriter().message(3, new WireWriter().bytes(1, op.key).bytes(2, op.rangeEnd).finish()).finish()
