// What isn't as wanted, by a fresh dump. Pure.
import { sort } from './actual.ts'
import type { Desired } from './desired.ts'
import type { Kind, Ownership } from './kind.ts'
import type { Drift } from './report.ts'

export function driftOf<T>(
  kind: Kind<T>,
  dump: readonly T[],
  desired: Desired<T>,
  scope: Ownership,
): Drift[] {
  const { have, extras, strays } = sort(kind, dump, desired, scope)
  const drift: Drift[] = []
  const note = (what: Drift['what'], key: string) => drift.push({ kind: kind.name, key, what })
  for (const key of desired.keys()) {
    const there = have.get(key)
    const claim = desired.winner(key, there)
    if (there === undefined) note('missing', key)
    else if (claim !== undefined && !kind.same(claim.object, there)) note('different', key)
  }
  for (const key of have.keys()) if (desired.winner(key, undefined) === undefined) note('unwanted', key)
  for (const extra of extras) note('unwanted', kind.key(extra))
  for (const key of strays.keys()) note('stray', key)
  return drift
}
