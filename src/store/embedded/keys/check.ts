// What etcd refuses about a request before it looks at any data (etcd v3rpc/key.go).
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../gen/etcdserverpb/rpc_pb.ts'
import { RangeRequest_SortOrder, RangeRequest_SortTarget } from '../gen/etcdserverpb/rpc_pb.ts'
import { keyRange, rangeContains, type KeyRange } from './key-range.ts'
import { refusal } from '../grpc/rpc-error.ts'

/** etcd's default for --max-txn-ops. */
const MAX_TXN_OPS = 128

const SORT_ORDERS: ReadonlySet<number> = new Set(Object.values(RangeRequest_SortOrder))
const SORT_TARGETS: ReadonlySet<number> = new Set(Object.values(RangeRequest_SortTarget))

export function checkRange(request: RangeRequest): void {
  if (request.key.byteLength === 0) throw refusal('emptyKey')
  if (!SORT_ORDERS.has(request.sortOrder) || !SORT_TARGETS.has(request.sortTarget))
    throw refusal('invalidSortOption')
}

export function checkPut(request: PutRequest): void {
  if (request.key.byteLength === 0) throw refusal('emptyKey')
  if (request.ignoreValue && request.value.byteLength > 0) throw refusal('valueProvided')
  if (request.ignoreLease && request.lease !== 0n) throw refusal('leaseProvided')
}

export function checkDeleteRange(request: DeleteRangeRequest): void {
  if (request.key.byteLength === 0) throw refusal('emptyKey')
}

export function checkTxn(request: TxnRequest): void {
  checkTxnOps(request, MAX_TXN_OPS)
  checkIntervals(request.success)
  checkIntervals(request.failure)
}

function checkTxnOps(request: TxnRequest, maxOps: number): void {
  const ops = Math.max(request.compare.length, request.success.length, request.failure.length)
  if (ops > maxOps) throw refusal('tooManyOps')
  for (const compare of request.compare) {
    if (compare.key.byteLength === 0) throw refusal('emptyKey')
  }
  for (const op of [...request.success, ...request.failure]) {
    const inner = op.request
    switch (inner.case) {
      case 'requestRange':
        checkRange(inner.value)
        break
      case 'requestPut':
        checkPut(inner.value)
        break
      case 'requestDeleteRange':
        checkDeleteRange(inner.value)
        break
      case 'requestTxn':
        checkTxnOps(inner.value, maxOps - ops)
        break
      case undefined:
        throw refusal('keyNotFound')
    }
  }
}

interface Touched {
  readonly puts: ReadonlyMap<string, Uint8Array>
  readonly deletions: readonly KeyRange[]
}

/**
 * No key may be put twice, or put and deleted, on any path through the transaction; deletions may overlap.
 * Unlike etcd, this counts a deletion of all keys from one on (range_end "\0") as well.
 */
function checkIntervals(ops: readonly RequestOp[]): Touched {
  const puts = new Map<string, Uint8Array>()
  const deletions: KeyRange[] = []
  for (const { request } of ops) {
    if (request.case === 'requestDeleteRange')
      deletions.push(keyRange(request.value.key, request.value.rangeEnd))
  }
  const add = (key: Uint8Array, text: string, alternative?: ReadonlyMap<string, Uint8Array>): void => {
    const twice = puts.has(text) && alternative?.has(text) !== true
    if (twice || deletions.some((range) => rangeContains(range, key))) throw refusal('duplicateKey')
    puts.set(text, key)
  }
  for (const { request } of ops) {
    if (request.case !== 'requestTxn') continue
    const success = checkIntervals(request.value.success)
    const failure = checkIntervals(request.value.failure)
    for (const [text, key] of success.puts) add(key, text)
    // The two branches exclude each other, so they may put the same key.
    for (const [text, key] of failure.puts) add(key, text, success.puts)
    deletions.push(...success.deletions, ...failure.deletions)
  }
  for (const { request } of ops) {
    if (request.case === 'requestPut')
      add(request.value.key, Buffer.from(request.value.key).toString('latin1'))
  }
  return { puts, deletions }
}
