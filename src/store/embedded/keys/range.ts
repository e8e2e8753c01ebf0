// Answers a RangeRequest: bounds on revisions, sorting, limit and count, in the order etcd applies them.
import { create } from '@bufbuild/protobuf'
import {
  RangeRequest_SortOrder as SortOrder,
  RangeRequest_SortTarget as SortTarget,
  RangeResponseSchema,
  type RangeRequest,
  type RangeResponse,
} from '../gen/etcdserverpb/rpc_pb.ts'
import { KeyValueSchema, type KeyValue } from '../gen/mvccpb/kv_pb.ts'
import { keyRange } from './key-range.ts'
import type { KeyVersion, Revisions } from './revisions.ts'
import { refusal } from '../grpc/rpc-error.ts'

const EMPTY = new Uint8Array(0)

export function toKeyValue(version: KeyVersion): KeyValue {
  return create(KeyValueSchema, {
    key: version.key,
    value: version.value,
    createRevision: version.create_revision,
    modRevision: version.mod_revision,
    version: version.version,
    lease: version.lease,
  })
}

/** The header holds the newest revision alone; who answers is filled in by the service. */
export function answerRange(revisions: Revisions, request: RangeRequest): RangeResponse {
  const range = keyRange(request.key, request.rangeEnd)
  const header = { revision: revisions.revision }
  const count = revisions.count(range, request.revision)
  if (request.countOnly) return create(RangeResponseSchema, { header, count })

  const limit = request.limit > 0n ? request.limit : undefined
  // etcd cuts before sorting when the order is left at NONE, even where the target then asks for a sort.
  const cutsLate = request.sortOrder !== SortOrder.NONE || boundsRevisions(request)
  let found = revisions.range(
    range,
    request.revision,
    cutsLate || limit === undefined ? undefined : limit + 1n,
  )
  if (boundsRevisions(request)) found = found.filter((version) => withinBounds(request, version))
  sort(found, request)
  const more = limit !== undefined && BigInt(found.length) > limit
  if (more) found.length = Number(limit)
  const kvs = found.map((version) => toKeyValue(request.keysOnly ? { ...version, value: EMPTY } : version))
  return create(RangeResponseSchema, { header, kvs, more, count })
}

function boundsRevisions(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0n ||
    request.maxModRevision !== 0n ||
    request.minCreateRevision !== 0n ||
    request.maxCreateRevision !== 0n
  )
}

function withinBounds(request: RangeRequest, version: KeyVersion): boolean {
  return (
    (request.maxModRevision === 0n || version.mod_revision <= request.maxModRevision) &&
    (request.minModRevision === 0n || version.mod_revision >= request.minModRevision) &&
    (request.maxCreateRevision === 0n || version.create_revision <= request.maxCreateRevision) &&
    (request.minCreateRevision === 0n || version.create_revision >= request.minCreateRevision)
  )
}

type Comparison = (a: KeyVersion, b: KeyVersion) => number

const COMPARISONS: Readonly<Partial<Record<SortTarget, Comparison>>> = {
  [SortTarget.KEY]: (a, b) => Buffer.compare(a.key, b.key),
  [SortTarget.VERSION]: (a, b) => compareIntegers(a.version, b.version),
  [SortTarget.CREATE]: (a, b) => compareIntegers(a.create_revision, b.create_revision),
  [SortTarget.MOD]: (a, b) => compareIntegers(a.mod_revision, b.mod_revision),
  [SortTarget.VALUE]: (a, b) => Buffer.compare(a.value, b.value),
}

export function compareIntegers(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Sorts in place; equal ones keep the order of their keys. */
function sort(versions: KeyVersion[], request: RangeRequest): void {
  const ascendingByKey = request.sortTarget === SortTarget.KEY && request.sortOrder !== SortOrder.DESCEND
  if (ascendingByKey) return
  const compare = COMPARISONS[request.sortTarget]
  if (compare === undefined) throw refusal('invalidSortOption')
  versions.sort(request.sortOrder === SortOrder.DESCEND ? (a, b) => compare(b, a) : compare)
}
