// Where chains of ours are in iptables, or may be: by the names that the reconciler has for them. Pure.
import type { Family } from '../../model/ip.ts'
import type { IptablesChain, IptablesFlavour } from '../../model/kernel.ts'
import { iptablesChainKind } from '../kinds/iptables-chain.ts'

/** Where a chain of ours is, or may be. */
export interface Place {
  /** As the reconciler names the chain. */
  readonly key: string
  readonly flavour: IptablesFlavour
  readonly family: Family
  readonly table: IptablesChain['table']
  readonly name: string
  /** The builtin chain that leads to it. */
  readonly from: IptablesChain['jump']['from']
}

const FROM = { nat: 'POSTROUTING', filter: 'FORWARD' } as const

/** Of `legacy ipv4 nat FLANNEL-POSTRTG`, as Ownership has it. */
export function placeOf(key: string): Place {
  const [flavour, family, table, name] = key.split(' ')
  if (
    (flavour !== 'legacy' && flavour !== 'nf_tables') ||
    (family !== 'ipv4' && family !== 'ipv6') ||
    (table !== 'nat' && table !== 'filter') ||
    name === undefined
  )
    throw new RangeError(`${key} names no chain of iptables`)
  return { key, flavour, family, table, name, from: FROM[table] }
}

export const placeOfChain = (chain: IptablesChain): Place => placeOf(iptablesChainKind.key(chain))

/** What people call the tool of a place. */
export const toolName = ({ flavour, family }: Pick<Place, 'flavour' | 'family'>): string =>
  `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${flavour === 'legacy' ? 'legacy' : 'nft'}`
