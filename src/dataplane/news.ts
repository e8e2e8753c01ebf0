// Whether what a notification shows is news, and what it means for others. Pure.
import type { KernelObject } from '../model/kernel.ts'
import type { Actual } from './actual.ts'
import type { Hint } from './carrier.ts'
import type { Desired } from './desired.ts'
import type { Kind, Ownership } from './kind.ts'

type Seen<T> = Extract<Hint<T>, { kind: 'seen' }>

/** No news is what we believe already, and what is neither ours nor in the place of something wanted. */
export function isNews<T extends KernelObject>(
  { key, have, was }: Seen<T>,
  kind: Kind<T>,
  desired: Desired<T>,
  actual: Actual<T>,
  scope: Ownership,
): boolean {
  const believed = actual.get(key)
  if (have === undefined) return believed !== undefined && (was === undefined || kind.same(believed, was))
  if (believed !== undefined) return !kind.same(believed, have)
  return desired.winner(key, undefined) !== undefined || kind.ours(have, scope) === 'ours'
}
