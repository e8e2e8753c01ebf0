// What isn't as wanted, by a fresh dump. Pure.
import type { KernelObject } from '../model/kernel.ts'
import { sort } from './actual.ts'
import type { Desired } from './desired.ts'
import type { Kind, Ownership } from './kind.ts'
import type { Drift } from './report.ts'

export function driftOf<T extends KernelObject>(
  kind: Kind<T>,
  dump: readonly T[],
  desired: Desired<T>,
  scope: Ownership,
): Drift[] {
  const { have, extras, strays } = sort(kind, dump, desired, scope)
  const drift: Drift[] = []
  const note = (what: Drift['what'], key: string, objects: Pick<Drift, 'want' | 'have' | 'source'>) =>
    drift.push({ kind: kind.name, key, what, ...objects })
  for (const key of desired.keys()) {
    const there = have.get(key)
    const claim = desired.winner(key, there)
    if (claim === undefined) continue
    const { object: want, source } = claim
    if (there === undefined) note('missing', key, { want, source: source.name })
    else if (!kind.same(want, there)) note('different', key, { want, have: there, source: source.name })
  }
  for (const [key, there] of have)
    if (desired.winner(key, undefined) === undefined) note('unwanted', key, { have: there })
  for (const extra of extras) note('unwanted', kind.key(extra), { have: extra })
  for (const [key, stray] of strays) note('stray', key, { have: stray })
  return drift
}
