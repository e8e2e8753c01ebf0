// A blocker in a sentence: who drops what, how often so far, how to see it, and what to type to let pods through where
// whose rule it is can be told. Pure.
import type { Prefix } from '../../model/prefix.ts'
import { allOf } from '../../netlink/nftables/foreign/expression.ts'
import { textOfRule } from './rule-text.ts'
import type { Blocker, Chain, Ruleset } from './walk.ts'

/** The owners of rules that are known by the names of their tables and chains. */
export type Owner = 'firewalld' | 'ufw' | 'docker' | 'kube-proxy' | 'iptables'

/** A policy is that of whose chains the kernel's chain leads to: `ruleset` is where it was found. */
export function ownerOf(blocker: Blocker, ruleset: Pick<Ruleset, 'rules'>): Owner | undefined {
  const { chain, base, how } = blocker
  const { table, name } = chain
  if (/^firewalld(_|$)/.test(table.name)) return 'firewalld'
  const jumps =
    how !== 'policy'
      ? []
      : ruleset
          .rules(base)
          .flatMap(({ expressions }) =>
            [...allOf(expressions)].flatMap((e) =>
              e.op === 'verdict' && 'chain' in e.verdict ? e.verdict.chain : [],
            ),
          )
  const isOf = (pattern: RegExp) => [name, ...jumps].some((each) => pattern.test(each))
  if (isOf(/^ufw6?-/)) return 'ufw'
  if (isOf(/^DOCKER(-|$)/)) return 'docker'
  if (name.startsWith('KUBE-') || table.name === 'kube-proxy') return 'kube-proxy'
  const isIptables =
    ['filter', 'mangle', 'raw', 'security'].includes(table.name) && /^[A-Z]+$/.test(base.name)
  return isIptables ? 'iptables' : undefined
}

/** `rule 3 (handle 7) of chain FORWARD in table ip filter: …` */
export function whereText({ chain, how, rule, hook }: Blocker): string {
  const { family, name, isLegacy } = chain.table
  const place = `chain ${chain.name} of table ${isLegacy ? `${name} of ${toolOf(chain)}` : `${family} ${name}`}`
  return rule === undefined || how === 'policy'
    ? `the policy of ${place} (hook ${hook})`
    : `rule ${rule.position + 1}${isLegacy ? '' : ` (handle ${rule.handle})`} of ${place}: ${textOfRule(rule)}`
}

export function countText({ counter }: Blocker): string {
  if (counter === undefined) return 'not counted'
  return `${counter.packets} ${counter.packets === 1n ? 'packet' : 'packets'} so far`
}

const toolOf = ({ table: { family, isLegacy } }: Chain): string =>
  `${family === 'ip6' ? 'ip6tables' : 'iptables'}${isLegacy ? '-legacy' : ''}`

export const showCommand = ({ chain }: Blocker): string =>
  chain.table.isLegacy
    ? `${toolOf(chain)} -t ${chain.table.name} -nvL ${chain.name} --line-numbers`
    : `nft -a list chain ${chain.table.family} ${chain.table.name} ${chain.name}`

export interface Passage {
  readonly networks: readonly Prefix[]
  /** UDP, between hosts. */
  readonly tunnelPort?: number
  /** The interface between hosts. */
  readonly underlay: string
}

/** What to type; none where it isn't known whose rule it is. */
export function remedies(
  blocker: Blocker,
  owner: Owner | undefined,
  { networks, tunnelPort, underlay }: Passage,
): string[] {
  const isTunnel = (blocker.hook === 'input' || blocker.hook === 'output') && tunnelPort !== undefined
  const isV6 = blocker.chain.table.family === 'ip6'
  const ours = networks.filter(
    (network) => blocker.chain.table.family === 'inet' || network.includes(':') === isV6,
  )
  const tool = toolOf(blocker.chain)
  const both = (build: (network: Prefix, flag: '-s' | '-d') => string) =>
    ours.flatMap((network) => [build(network, '-s'), build(network, '-d')])
  switch (owner) {
    case 'firewalld':
      if (blocker.chain.table.name !== 'firewalld') return ['firewall-cmd --panic-off']
      return isTunnel
        ? twice(
            `firewall-cmd --zone=$(firewall-cmd --get-zone-of-interface=${underlay} || firewall-cmd --get-default-zone) --add-port=${tunnelPort}/udp`,
          )
        : ours.flatMap((network) => twice(`firewall-cmd --zone=trusted --add-source=${network}`))
    case 'ufw':
      return isTunnel
        ? [`ufw allow in on ${underlay} to any port ${tunnelPort} proto udp`]
        : ours.flatMap((network) => [`ufw route allow from ${network}`, `ufw route allow to ${network}`])
    case 'docker':
      return both((network, flag) => `${tool} -I DOCKER-USER ${flag} ${network} -j ACCEPT`)
    case 'iptables':
      return isTunnel
        ? [
            blocker.hook === 'input'
              ? `${tool} -I INPUT -i ${underlay} -p udp --dport ${tunnelPort} -j ACCEPT`
              : `${tool} -I OUTPUT -o ${underlay} -p udp --dport ${tunnelPort} -j ACCEPT`,
          ]
        : both((network, flag) => `${tool} -I ${blocker.base.name} ${flag} ${network} -j ACCEPT`)
    default:
      return []
  }
}

/** Now, and for ever. */
const twice = (command: string): string[] => [
  command,
  command.replace('firewall-cmd --zone', 'firewall-cmd --permanent --zone'),
]
