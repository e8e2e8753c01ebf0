// Chains of ours in iptables, each with the jump to it. What else is in their tables is never compared.
import type { IptablesChain } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const iptablesChainKind: Kind<IptablesChain> = {
  name: 'iptables-chain',
  after: [],
  key: ({ flavour, family, table, name }) => `${flavour} ${family} ${table} ${name}`,
  on: () => undefined,
  same: (want, have) =>
    have.awry === undefined &&
    want.jump.from === have.jump.from &&
    want.jump.rule === have.jump.rule &&
    want.rules.length === have.rules.length &&
    want.rules.every((rule, index) => rule === have.rules[index]),
  ours: (have, scope) => (scope.chains?.has(iptablesChainKind.key(have)) === true ? 'ours' : 'foreign'),
  adopts: () => false,
  disturbs: () => [],
}
