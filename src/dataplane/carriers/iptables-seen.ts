// What was read of a place in iptables' tables, with what tells later whether it is as it was. Pure.
import type { IptablesChain } from '../../model/kernel.ts'
import { chainIn, partOf } from '../../xtables/chain-text.ts'
import type { SavedTable } from '../../xtables/save-text.ts'
import type { Place } from './iptables-place.ts'

export interface Seen {
  /** Taken before it was read: what changed meanwhile shows as another one. Undefined: to be read again in any case. */
  readonly imprint: bigint | undefined
  readonly chain: IptablesChain
  /** What of the table decides where a jump to the chain belongs; undefined where it can't be read. */
  readonly part: SavedTable | undefined
}

/** Undefined where the chain isn't in its table. */
export function seenIn(
  table: SavedTable | undefined,
  place: Place,
  imprint: bigint | undefined,
): Seen | undefined {
  const chain = table === undefined ? undefined : chainIn(table, place, place.from)
  if (table === undefined || chain === undefined || imprint === undefined) return undefined
  return { imprint, chain, part: partOf(table, place.name, place.from) }
}

/** A chain that is there, and `why` nobody can tell more of it. */
export const unreadable = (place: Place, imprint: bigint | undefined, why: string): Seen => {
  const { flavour, family, table, name, from } = place
  const chain: IptablesChain = {
    kind: 'iptables-chain',
    flavour,
    family,
    table,
    name,
    rules: [],
    jump: { from, rule: '' },
    awry: why,
  }
  return { imprint, chain, part: undefined }
}
