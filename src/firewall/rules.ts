// What the packet filter should hold, as data: masquerade for traffic that leaves the cluster network, and
// accept for traffic of pods that this host forwards. Tables, chains and order are upstream's (flannel-compat
// 6.1, 6.2), with iptables' meaning in both modes. Pure.
import { familyOfPrefix, type Prefix } from '../model/prefix.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import type { NftChain, NftMatch, NftRule, NftTable, NftVerdict } from '../model/kernel.ts'
import { mssTables } from './mss.ts'

/** All that are heddle's, of both families, as the reconciler names tables. */
export const ownTables = (): Set<string> =>
  new Set([...FAMILIES.map((family) => `${family} ${tableName(family)}`), ...mssTables()])

export interface FirewallOptions {
  /** `--ip-masq`: flanneld masquerades for all pods. */
  readonly masquerade: boolean
  /** `--iptables-forward-rules`. */
  readonly forward: boolean
  /** Off with `--ip-masq-fully-random-disable`: ports of masqueraded connections are chosen at random. */
  readonly fullyRandom: boolean
  /** Destinations to which pods go with their own addresses, of both families (`NonMasqueradeCIDRs`). */
  readonly spared?: readonly Prefix[]
  /** `--nft-upstream-text`: what upstream's nf_tables mode has, to the letter, and in its meaning. */
  readonly upstreamText?: boolean
}

/** One family's cluster network and the part of it that is leased to this host. */
export interface FirewallNetwork {
  readonly network: Prefix
  readonly subnet: Prefix
}

/** kube-proxy masquerades packets with this bit of the mark; any other bits may be set besides. */
const KUBE_PROXY_MARK = 0x4000

const MULTICAST: Record<Family, Prefix> = { ipv4: '224.0.0.0/4' as Prefix, ipv6: 'ff00::/8' as Prefix }

/** Name of the table that holds a family's rules, `flannel-ipv4` or `flannel-ipv6`. */
export const tableName = (family: Family): string => `flannel-${family}`

/**
 * The tables to have, one a family; none where nothing is asked for. An `accept` in a table of its own doesn't
 * overrule a drop in another one: a host firewall that drops forwarded packets must let pods through itself.
 */
export function firewallTables(
  options: FirewallOptions,
  networks: readonly FirewallNetwork[],
): readonly NftTable[] {
  if (!options.masquerade && !options.forward) return []
  return networks.map((n) => {
    const family = familyOfPrefix(n.network)
    const chains: NftChain[] = []
    if (options.masquerade) chains.push(masqueradeChain(n, options))
    if (options.forward) chains.push(forwardChain(n.network))
    const name = tableName(family)
    return { kind: 'nft-table', family, name, comment: `rules for ${name}`, chains }
  })
}

const masqueradeChain = (n: FirewallNetwork, options: FirewallOptions): NftChain => ({
  name: 'postrtg',
  comment: 'chain to manage traffic masquerading by flannel',
  hook: { type: 'nat', at: 'postrouting', priority: 100 },
  rules: masqueradeRules(n, options),
})

const forwardChain = (network: Prefix): NftChain => ({
  name: 'forward',
  comment: 'chain to accept flannel traffic',
  hook: { type: 'filter', at: 'forward', priority: 0 },
  rules: forwardRules(network),
})

/** In the order in which they are asked, whoever applies them. */
export function masqueradeRules(
  { network, subnet }: FirewallNetwork,
  { fullyRandom, spared = [], upstreamText = false }: FirewallOptions,
): NftRule[] {
  const family = familyOfPrefix(network)
  const masquerade: NftVerdict = { verdict: 'masquerade', fullyRandom }
  return [
    rule(RETURN, {
      match: 'mark',
      value: KUBE_PROXY_MARK,
      mask: upstreamText ? 0xffff_ffff : KUBE_PROXY_MARK,
    }),
    rule(RETURN, from(subnet), to(network)),
    rule(RETURN, from(network), to(subnet)),
    // From outside to a pod of this host: the pod sees who calls. Upstream's nf_tables mode returns on `saddr != P
    // daddr C` instead, which leaves its last rule nothing to masquerade.
    upstreamText
      ? rule(RETURN, not(from(subnet)), to(network))
      : rule(RETURN, not(from(network)), to(subnet)),
    ...spared
      .filter((prefix) => familyOfPrefix(prefix) === family)
      .map((prefix) => rule(RETURN, from(network), to(prefix))),
    rule(masquerade, from(network), not(to(MULTICAST[family]))),
    // From outside to a pod of another host: its answer must come back through here.
    rule(masquerade, not(from(network)), to(network)),
  ]
}

export const forwardRules = (network: Prefix): NftRule[] => [
  rule(ACCEPT, from(network)),
  rule(ACCEPT, to(network)),
]

type AddressMatch = Extract<NftMatch, { match: 'saddr' | 'daddr' }>

const RETURN: NftVerdict = { verdict: 'return' }
const ACCEPT: NftVerdict = { verdict: 'accept' }
const rule = (verdict: NftVerdict, ...matches: NftMatch[]): NftRule => ({ matches, verdict })
const from = (prefix: Prefix): AddressMatch => ({ match: 'saddr', not: false, prefix })
const to = (prefix: Prefix): AddressMatch => ({ match: 'daddr', not: false, prefix })
const not = (match: AddressMatch): AddressMatch => ({ ...match, not: true })
