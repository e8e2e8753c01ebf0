// What to change so that the kernel has what is wanted: compared key by key. Pure.
import type { Change } from './carrier.ts'
import type { Kind } from './kind.ts'

/** The change for one key, or undefined where all is as it should be. `have` is ours. */
export function changeFor<T>(
  kind: Pick<Kind<T>, 'same'>,
  want: T | undefined,
  have: T | undefined,
): Change<T> | undefined {
  if (want === undefined) return have === undefined ? undefined : { op: 'remove', have }
  if (have !== undefined && (want === have || kind.same(want, have))) return undefined
  return { op: 'put', want, have }
}

/** One key's way from one picture of the kernel to the next. */
export interface Difference<T> {
  readonly key: string
  readonly before: T | undefined
  readonly after: T | undefined
}

/** The keys whose objects differ between two pictures. */
export function differences<T>(
  kind: Pick<Kind<T>, 'same'>,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): Difference<T>[] {
  const found: Difference<T>[] = []
  for (const [key, now] of after) {
    const then = before.get(key)
    if (then === now || (then !== undefined && kind.same(then, now))) continue
    found.push({ key, before: then, after: now })
  }
  for (const [key, then] of before) if (!after.has(key)) found.push({ key, before: then, after: undefined })
  return found
}
