// What the permissions of a user's roles add up to. As in etcd, a range is allowed when they cover it together, be it
// in pieces (etcd server/auth/range_perm_cache.go).
import { Permission_Type as PermissionType } from '../gen/authpb/auth_pb.ts'
import { keyRange, type KeyRange } from '../keys/key-range.ts'

export interface Permission {
  readonly type: PermissionType
  readonly key: Uint8Array
  /** As in requests: empty for the key alone, a zero byte for all from it on. */
  readonly rangeEnd: Uint8Array
}

export type Access = 'read' | 'write'

/** [begin, end); without an end it holds all keys from `begin` on. */
interface Interval {
  readonly begin: Uint8Array
  readonly end: Uint8Array | undefined
}

export class Grants {
  readonly #intervals: Readonly<Record<Access, readonly Interval[]>>

  constructor(permissions: readonly Permission[]) {
    const covered = (wanted: PermissionType): Interval[] =>
      merged(
        permissions
          .filter(({ type }) => type === wanted || type === PermissionType.READWRITE)
          .map(({ key, rangeEnd }) => intervalOf(keyRange(key, rangeEnd))),
      )
    this.#intervals = { read: covered(PermissionType.READ), write: covered(PermissionType.WRITE) }
  }

  /** A range that can't hold a key is allowed to nobody. */
  allows(range: KeyRange, access: Access): boolean {
    const { begin, end } = intervalOf(range)
    if (end !== undefined && Buffer.compare(begin, end) >= 0) return false
    return this.#intervals[access].some(
      (interval) =>
        Buffer.compare(interval.begin, begin) <= 0 &&
        (interval.end === undefined || (end !== undefined && Buffer.compare(end, interval.end) <= 0)),
    )
  }
}

/** What etcd takes for a permission's range: not backwards, and of a key that can be. */
export function isPermissionRange(key: Uint8Array, rangeEnd: Uint8Array): boolean {
  if (key.byteLength === 0) return false
  const range = keyRange(key, rangeEnd)
  return range.kind !== 'between' || Buffer.compare(range.key, range.end) < 0
}

function intervalOf(range: KeyRange): Interval {
  switch (range.kind) {
    case 'one':
      return { begin: range.key, end: Buffer.concat([range.key, Uint8Array.of(0)]) }
    case 'from':
      return { begin: range.key, end: undefined }
    case 'between':
      return { begin: range.key, end: range.end }
  }
}

/** The same keys in as few intervals as can be, in order. */
function merged(intervals: readonly Interval[]): Interval[] {
  const result: Interval[] = []
  for (const next of intervals.toSorted((a, b) => Buffer.compare(a.begin, b.begin))) {
    const last = result.at(-1)
    if (last === undefined || (last.end !== undefined && Buffer.compare(last.end, next.begin) < 0)) {
      result.push(next)
    } else if (last.end !== undefined && (next.end === undefined || Buffer.compare(last.end, next.end) < 0)) {
      result[result.length - 1] = { begin: last.begin, end: next.end }
    }
  }
  return result
}
