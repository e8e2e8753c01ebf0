// Where the rules of a family go: nf_tables tables of flannel's own, or chains in iptables of either flavour, and why. It
// follows the network config, else what kube-proxy and the host use. Pure.
import type { IptablesFlavour } from '../model/kernel.ts'

/** `--firewall`: `iptables` takes the flavour that is in use. */
export const FIREWALL_WISHES = ['auto', 'nftables', 'iptables', 'iptables-legacy', 'iptables-nft'] as const
export type FirewallWish = (typeof FIREWALL_WISHES)[number]

export type Applier = 'nftables' | 'iptables-legacy' | 'iptables-nft'

export interface Choice {
  readonly applier: Applier
  /** In words, as it goes on after "because". */
  readonly why: string
  /** Whether the tool can choose ports fully at random; iptables before 1.6.2 can't. */
  readonly randomFully: boolean
}

/** What one family of a host shows. */
export interface FirewallFacts {
  /** Whether each flavour is installed, and whether it knows `--random-fully`. */
  readonly tools: Readonly<Partial<Record<IptablesFlavour, { readonly randomFully: boolean }>>>
  /** What `iptables` without a suffix is. */
  readonly usual: IptablesFlavour | undefined
  readonly use: Readonly<Record<IptablesFlavour, Use>>
  /** kube-proxy's own table in nf_tables is there. */
  readonly hasKubeProxyTable: boolean
}
interface Use {
  /** kube-proxy has chains there. */
  readonly kubeProxy: boolean
  /** The policy of FORWARD is to drop: only an accept in the same tables gets past that. */
  readonly drops: boolean
  /** Somebody has chains there, flannel's own aside. */
  readonly others: boolean
}

const APPLIERS = { legacy: 'iptables-legacy', nf_tables: 'iptables-nft' } as const
export const FLAVOURS: Readonly<Record<Exclude<Applier, 'nftables'>, IptablesFlavour>> = {
  'iptables-legacy': 'legacy',
  'iptables-nft': 'nf_tables',
}

/** Without facts where neither wish nor config leaves anything to find out. */
export const needsFacts = (wish: FirewallWish, enableNFTables: boolean): boolean =>
  wish !== 'nftables' && !(wish === 'auto' && enableNFTables)

export function chooseApplier(
  wish: FirewallWish,
  enableNFTables: boolean,
  facts: FirewallFacts | undefined,
): Choice {
  const forced = `--firewall=${wish}`
  if (wish === 'nftables') return { applier: 'nftables', why: forced, randomFully: true }
  if (wish === 'auto' && enableNFTables)
    return { applier: 'nftables', why: 'the network config has EnableNFTables', randomFully: true }
  const found = facts ?? NOTHING
  const through = (flavour: IptablesFlavour, why: string): Choice => ({
    applier: APPLIERS[flavour],
    why,
    randomFully: found.tools[flavour]?.randomFully ?? true,
  })
  if (wish === 'iptables-legacy' || wish === 'iptables-nft') return through(FLAVOURS[wish], forced)
  const installed = (['legacy', 'nf_tables'] as const).filter((flavour) => found.tools[flavour])
  const [first] = installed
  if (first === undefined)
    return wish === 'auto'
      ? { applier: 'nftables', why: 'iptables is not installed', randomFully: true }
      : through('nf_tables', forced)
  const usual = installed.find((flavour) => flavour === found.usual) ?? first
  /** Of both the usual one: the other's may be leftovers. */
  const pick = (is: (use: Use) => boolean) => [usual, ...installed].find((flavour) => is(found.use[flavour]))
  const kubeProxy = pick((use) => use.kubeProxy)
  if (kubeProxy !== undefined) return through(kubeProxy, 'kube-proxy has its chains there')
  const drops = pick((use) => use.drops)
  if (drops !== undefined) return through(drops, 'its policy for forwarded packets is to drop them')
  if (wish === 'auto' && found.hasKubeProxyTable)
    return { applier: 'nftables', why: 'kube-proxy has its table in nf_tables', randomFully: true }
  const others = pick((use) => use.others)
  if (others !== undefined) return through(others, 'chains of others are there')
  return through(usual, wish === 'auto' ? "it is this host's iptables" : forced)
}

const NO_USE: Use = { kubeProxy: false, drops: false, others: false }
const NOTHING: FirewallFacts = {
  tools: {},
  usual: undefined,
  use: { legacy: NO_USE, nf_tables: NO_USE },
  hasKubeProxyTable: false,
}
