// Key ranges as etcd's requests spell them: one key, all keys from one on, or [key, end).

export type KeyRange =
  | { readonly kind: 'one'; readonly key: Uint8Array }
  | { readonly kind: 'from'; readonly key: Uint8Array }
  | { readonly kind: 'between'; readonly key: Uint8Array; readonly end: Uint8Array }

/** An empty `rangeEnd` means the key alone; a single zero byte means all keys >= key (etcd rpc.proto, RangeRequest). */
export function keyRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  if (rangeEnd.byteLength === 0) return { kind: 'one', key }
  if (rangeEnd.byteLength === 1 && rangeEnd[0] === 0) return { kind: 'from', key }
  return { kind: 'between', key, end: rangeEnd }
}

export function rangeContains(range: KeyRange, key: Uint8Array): boolean {
  switch (range.kind) {
    case 'one':
      return Buffer.compare(key, range.key) === 0
    case 'from':
      return Buffer.compare(key, range.key) >= 0
    case 'between':
      return Buffer.compare(key, range.key) >= 0 && Buffer.compare(key, range.end) < 0
  }
}

/** Equal for ranges that hold the same keys by the same bounds. */
export function rangeId(range: KeyRange): string {
  const key = Buffer.from(range.key).toString('latin1')
  return range.kind === 'between'
    ? `between:${key.length}:${key}${Buffer.from(range.end).toString('latin1')}`
    : `${range.kind}:${key}`
}
