// The safety net beside routes with an MTU of their own: while the path to some peer is small, TCP connections through
// the tunnel are told of it as they begin. Also by who is at the small path's other end and doesn't know: upstream's
// hosts. In a table of heddle's own, so that flannel's read as upstream's. Pure.
import { FAMILIES, type Family } from '../model/ip.ts'
import type { NftTable } from '../model/kernel.ts'

export const MSS_TABLE = 'heddle-mss'

/** Of both families, as the reconciler names tables. */
export const mssTables = (): readonly string[] => FAMILIES.map((family) => `${family} ${MSS_TABLE}`)

/** One table a family whose tunnel has small paths, for its device. */
export const clampTables = (
  tunnels: readonly { readonly family: Family; readonly device: string }[],
): readonly NftTable[] =>
  tunnels.map(({ family, device }) => ({
    kind: 'nft-table',
    family,
    name: MSS_TABLE,
    comment: 'TCP segments as small as the path to their peer',
    // Where iptables has its table mangle.
    chains: [
      {
        name: 'forward',
        hook: { type: 'filter', at: 'forward', priority: -150 },
        rules: [],
        clamps: [device],
      },
    ],
  }))
