// Chains of flannel's in iptables that stay because the iptables that could remove them is not installed: named.
import { ownChains } from '../../firewall/chain-names.ts'
import { placeOf, toolName } from '../../dataplane/carriers/iptables-place.ts'
import { IptablesSight } from '../../dataplane/carriers/iptables-sight.ts'
import { findTool } from '../../xtables/tools.ts'

export async function chainsWithoutTool(signal: AbortSignal): Promise<string[]> {
  using sight = new IptablesSight()
  const left: string[] = []
  for (const place of [...ownChains()].map(placeOf)) {
    if (sight.imprint(place) === undefined) continue
    if ((await findTool(place.flavour, place.family, signal)) !== undefined) continue
    const tool = toolName(place)
    left.push(
      `chain ${place.name} in table ${place.table} of ${tool}: it takes ${tool} to remove it, which is not installed`,
    )
  }
  return left
}
