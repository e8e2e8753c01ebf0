// Puts, deletions and transactions: every condition is looked at before the first change is made, so that a
// refused request has changed nothing.
import { create } from '@bufbuild/protobuf'
import {
  Compare_CompareResult as CompareResult,
  Compare_CompareTarget as CompareTarget,
  DeleteRangeResponseSchema,
  PutResponseSchema,
  ResponseOpSchema,
  TxnResponseSchema,
  type Compare,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PutRequest,
  type PutResponse,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
} from '../gen/etcdserverpb/rpc_pb.ts'
import type { ChangeSet } from './change-set.ts'
import { keyRange } from './key-range.ts'
import { answerRange, compareIntegers, toKeyValue } from './range.ts'
import type { KeyVersion, Revisions } from './revisions.ts'
import { refusal, RpcError } from '../grpc/rpc-error.ts'

const EMPTY = new Uint8Array(0)

/** What a write looks at and writes to; `revisions` shows the changes made so far. */
export interface WriteContext {
  readonly revisions: Revisions
  readonly changes: ChangeSet
  leaseExists(id: bigint): boolean
}

/** The branch a transaction takes, and those of the transactions inside that branch, in their order. */
interface Path {
  readonly succeeded: boolean
  readonly ops: readonly RequestOp[]
  readonly inner: readonly Path[]
}

export function applyPut(context: WriteContext, request: PutRequest): PutResponse {
  // As in etcd: a put alone misses its lease first, a put in a transaction its key.
  checkLease(context, request)
  checkPrevious(context, request)
  return put(context, request)
}

export function applyDeleteRange(context: WriteContext, request: DeleteRangeRequest): DeleteRangeResponse {
  const deleted = context.changes.deleteRange(keyRange(request.key, request.rangeEnd))
  return create(DeleteRangeResponseSchema, {
    header: { revision: context.revisions.revision },
    deleted: BigInt(deleted.length),
    prevKvs: request.prevKv ? deleted.map(toKeyValue) : [],
  })
}

export function applyTxn(context: WriteContext, request: TxnRequest): TxnResponse {
  const path = choosePath(context.revisions, request)
  checkPath(context, path)
  const responses = applyPath(context, path)
  return create(TxnResponseSchema, {
    header: { revision: context.revisions.revision },
    succeeded: path.succeeded,
    responses,
  })
}

/** True when nothing in the transaction, whichever branch it takes, can change a key. */
export function isReadOnly(request: TxnRequest): boolean {
  return [...request.success, ...request.failure].every(
    ({ request: op }) => op.case === 'requestRange' || (op.case === 'requestTxn' && isReadOnly(op.value)),
  )
}

function choosePath(revisions: Revisions, request: TxnRequest): Path {
  const succeeded = request.compare.every((compare) => holds(revisions, compare))
  const ops = succeeded ? request.success : request.failure
  const inner: Path[] = []
  for (const { request: op } of ops) {
    if (op.case === 'requestTxn') inner.push(choosePath(revisions, op.value))
  }
  return { succeeded, ops, inner }
}

/** Puts first, then reads: etcd's order, which decides what a request with two faults is refused for. */
function checkPath(context: WriteContext, path: Path): void {
  const ops = opsOf(path)
  for (const op of ops) {
    if (op.case !== 'requestPut') continue
    checkPrevious(context, op.value)
    checkLease(context, op.value)
  }
  for (const op of ops) {
    if (op.case === 'requestRange') checkRevision(context.revisions, op.value.revision)
  }
}

/** The ops of the path in their order, those of an inner transaction in its place. */
function opsOf(path: Path): RequestOp['request'][] {
  const inner = path.inner.values()
  return path.ops.flatMap(({ request }) => {
    if (request.case !== 'requestTxn') return [request]
    const { value } = inner.next()
    return value === undefined ? [] : opsOf(value)
  })
}

function checkPrevious(context: WriteContext, request: PutRequest): void {
  if (!request.ignoreValue && !request.ignoreLease) return
  if (context.revisions.count(keyRange(request.key, EMPTY)) === 0n) throw refusal('keyNotFound')
}

function checkLease(context: WriteContext, request: PutRequest): void {
  if (request.lease !== 0n && !context.leaseExists(request.lease)) throw refusal('leaseNotFound')
}

function checkRevision(revisions: Revisions, revision: bigint): void {
  if (revision === 0n) return
  if (revision > revisions.revision) throw refusal('futureRevision')
  if (revision < revisions.compactRevision) throw refusal('compacted')
}

function applyPath(context: WriteContext, path: Path): ResponseOp[] {
  const inners = path.inner.values()
  return path.ops.map(({ request: op }) => {
    switch (op.case) {
      case 'requestRange':
        return response({ case: 'responseRange', value: answerRange(context.revisions, op.value) })
      case 'requestPut':
        return response({ case: 'responsePut', value: put(context, op.value) })
      case 'requestDeleteRange':
        return response({ case: 'responseDeleteRange', value: applyDeleteRange(context, op.value) })
      case 'requestTxn': {
        const { value: inner } = inners.next()
        if (inner === undefined) throw new Error('an inner transaction has no path')
        const { succeeded } = inner
        const value = create(TxnResponseSchema, {
          header: {},
          succeeded,
          responses: applyPath(context, inner),
        })
        return response({ case: 'responseTxn', value })
      }
      case undefined:
        throw refusal('keyNotFound')
    }
  })
}

function response(value: ResponseOp['response']): ResponseOp {
  return create(ResponseOpSchema, { response: value })
}

function put(context: WriteContext, request: PutRequest): PutResponse {
  const wantsPrevious = request.prevKv || request.ignoreValue || request.ignoreLease
  const previous = wantsPrevious ? context.revisions.range(keyRange(request.key, EMPTY))[0] : undefined
  const value = request.ignoreValue && previous !== undefined ? previous.value : request.value
  const lease = request.ignoreLease && previous !== undefined ? previous.lease : request.lease
  context.changes.put(request.key, value, lease)
  return create(PutResponseSchema, {
    header: { revision: context.revisions.revision },
    ...(request.prevKv && previous !== undefined && { prevKv: toKeyValue(previous) }),
  })
}

/** A comparison of a range holds when it holds for every key in it; of an absent key, for a key of zeros. */
function holds(revisions: Revisions, compare: Compare): boolean {
  const found = revisions.range(keyRange(compare.key, compare.rangeEnd))
  if (found.length > 0) return found.every((version) => holdsFor(version, compare))
  // An absent key has no value, so no comparison of its value holds.
  if (compare.target === CompareTarget.VALUE) return false
  return holdsFor(undefined, compare)
}

function holdsFor(version: KeyVersion | undefined, compare: Compare): boolean {
  const order = orderOf(version, compare)
  switch (compare.result) {
    case CompareResult.EQUAL:
      return order === 0
    case CompareResult.NOT_EQUAL:
      return order !== 0
    case CompareResult.GREATER:
      return order > 0
    case CompareResult.LESS:
      return order < 0
    default:
      throw new RpcError(
        'invalid_argument',
        `this store knows no comparison result ${String(compare.result)}`,
      )
  }
}

function orderOf(version: KeyVersion | undefined, compare: Compare): number {
  const { targetUnion } = compare
  // The target says what is compared; an operand of another kind counts as zero, as in etcd.
  const integer = (name: 'version' | 'createRevision' | 'modRevision' | 'lease'): bigint =>
    targetUnion.case === name ? targetUnion.value : 0n
  switch (compare.target) {
    case CompareTarget.VALUE:
      return Buffer.compare(version?.value ?? EMPTY, targetUnion.case === 'value' ? targetUnion.value : EMPTY)
    case CompareTarget.VERSION:
      return compareIntegers(version?.version ?? 0n, integer('version'))
    case CompareTarget.CREATE:
      return compareIntegers(version?.create_revision ?? 0n, integer('createRevision'))
    case CompareTarget.MOD:
      return compareIntegers(version?.mod_revision ?? 0n, integer('modRevision'))
    case CompareTarget.LEASE:
      return compareIntegers(version?.lease ?? 0n, integer('lease'))
    default:
      throw new RpcError(
        'invalid_argument',
        `this store knows no comparison target ${String(compare.target)}`,
      )
  }
}
