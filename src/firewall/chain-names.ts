// The chains of iptables that are flannel's, by upstream's names: what one flanneld has left, another may remove. Pure.
import { FAMILIES } from '../model/ip.ts'
import type { IptablesChain } from '../model/kernel.ts'

type Named = Pick<IptablesChain, 'table' | 'name'> & {
  readonly from: IptablesChain['jump']['from']
  /** On the jump and on each rule. */
  readonly comment: string
}

/** Masquerade for what leaves the cluster network (flannel-compat 6.1). */
export const MASQUERADE_CHAIN = {
  table: 'nat',
  name: 'FLANNEL-POSTRTG',
  from: 'POSTROUTING',
  comment: 'flanneld masq',
} as const satisfies Named

/** Accept for what pods send and get through this host. */
export const FORWARD_CHAIN = {
  table: 'filter',
  name: 'FLANNEL-FWD',
  from: 'FORWARD',
  comment: 'flanneld forward',
} as const satisfies Named

/** Of both flavours and families, as the reconciler names chains. */
export const ownChains = (): Set<string> =>
  new Set(
    (['legacy', 'nf_tables'] as const).flatMap((flavour) =>
      FAMILIES.flatMap((family) =>
        [MASQUERADE_CHAIN, FORWARD_CHAIN].map(({ table, name }) => `${flavour} ${family} ${table} ${name}`),
      ),
    ),
  )
