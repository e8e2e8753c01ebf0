// Names of members in a JSON conf file: none twice, and the one that was meant where there is none. Pure.
import { closest } from '../closest.ts'
import type { Member } from './json-tree.ts'
import { Mistake } from './mistake.ts'
import { fold } from './network-keys.ts'

/** Throws Mistake where two names are one. */
export function distinct(members: readonly Member[]): readonly Member[] {
  const seen = new Set<string>()
  for (const { name, offset } of members) {
    if (seen.has(fold(name))) throw new Mistake(offset, `${name} is given twice`)
    seen.add(fold(name))
  }
  return members
}

/** `within`: what stands before the name, e.g. `etcd.`. */
export function unknownName({ name, offset }: Member, known: readonly string[], within = ''): Mistake {
  const near = closest(fold(name), known.map(fold))
  const meant = known.find((one) => fold(one) === near)
  return new Mistake(
    offset,
    `there is no ${within}${name}; ${meant === undefined ? 'see docs/options.md' : `did you mean ${within}${meant}?`}`,
  )
}
