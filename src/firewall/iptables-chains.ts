// The same rules as chains of iptables, in upstream's text (flannel-compat 6.1, 9.6). Pure.
import type { IptablesChain, IptablesFlavour, NftRule } from '../model/kernel.ts'
import { familyOfPrefix } from '../model/prefix.ts'
import { jumpText, ruleText } from '../xtables/rule-text.ts'
import { FORWARD_CHAIN, MASQUERADE_CHAIN } from './chain-names.ts'
import { forwardRules, masqueradeRules, type FirewallNetwork, type FirewallOptions } from './rules.ts'

/** One family's chains to have; none where nothing is asked for. */
export function firewallChains(
  flavour: IptablesFlavour,
  options: FirewallOptions,
  network: FirewallNetwork,
): readonly IptablesChain[] {
  const chain = (
    { table, name, from, comment }: typeof MASQUERADE_CHAIN | typeof FORWARD_CHAIN,
    rules: readonly NftRule[],
  ): IptablesChain => ({
    kind: 'iptables-chain',
    flavour,
    family: familyOfPrefix(network.network),
    table,
    name,
    rules: rules.map((rule) => ruleText(rule, comment)),
    jump: { from, rule: jumpText(name, comment) },
  })
  return [
    // The switch is for nf_tables' text alone.
    ...(options.masquerade
      ? [chain(MASQUERADE_CHAIN, masqueradeRules(network, { ...options, upstreamText: false }))]
      : []),
    ...(options.forward ? [chain(FORWARD_CHAIN, forwardRules(network.network))] : []),
  ]
}
