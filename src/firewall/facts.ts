// What of a host decides where its rules go: which iptables are installed, and who has chains in which. Reads by netlink
// and getsockopt; of iptables only the version is asked, once a program.
import type { Family } from '../model/ip.ts'
import type { IptablesFlavour } from '../model/kernel.ts'
import { NetlinkError } from '../netlink/error.ts'
import { readBaseChains } from '../netlink/nftables/foreign/ruleset.ts'
import { listChains, parseChain } from '../netlink/nftables/table.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { isSysError } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { XtablesError } from '../xtables/error.ts'
import { LegacyTables } from '../xtables/legacy.ts'
import { findTool, usualFlavour } from '../xtables/tools.ts'
import type { FirewallFacts } from './applier.ts'
import { FORWARD_CHAIN, MASQUERADE_CHAIN } from './chain-names.ts'

/** Tables in which kube-proxy, kubelet, Docker and others have chains. */
const TABLES = ['filter', 'nat', 'mangle'] as const
const BUILTIN: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])
const OWN: ReadonlySet<string> = new Set([MASQUERADE_CHAIN.name, FORWARD_CHAIN.name])
/** kube-proxy's alone: kubelet makes KUBE- chains, too, in whatever mode kube-proxy runs. */
const KUBE_PROXY = 'KUBE-SERVICES'
/** What a builtin chain's policy of dropping looks like (entries.ts). */
const DROP = -1

/** `folders`: where programs are looked for, instead of PATH and the usual ones. */
export async function firewallFacts(
  family: Family,
  signal: AbortSignal,
  { namespace, folders }: { readonly namespace?: Namespace; readonly folders?: readonly string[] } = {},
): Promise<FirewallFacts> {
  const [legacy, nft, usual] = await Promise.all([
    findTool('legacy', family, signal, folders),
    findTool('nf_tables', family, signal, folders),
    usualFlavour(family, signal, folders),
  ])
  const old = legacyChains(family, namespace)
  const { chains, drops, hasKubeProxyTable } = nftChains(family, namespace)
  return {
    tools: { ...(legacy && { legacy }), ...(nft && { nf_tables: nft }) },
    usual,
    use: { legacy: useOf(old.chains, old.drops), nf_tables: useOf(chains, drops) },
    hasKubeProxyTable,
  }
}

interface Chain {
  readonly table: string
  readonly name: string
}

function useOf(chains: readonly Chain[], drops: boolean): FirewallFacts['use'][IptablesFlavour] {
  const others = chains.filter(({ name }) => !BUILTIN.has(name) && !OWN.has(name))
  return {
    kubeProxy: others.some(({ name }) => name === KUBE_PROXY),
    drops,
    others: others.length > 0,
  }
}

function legacyChains(family: Family, namespace: Namespace | undefined) {
  using tables = new LegacyTables(namespace)
  const chains: Chain[] = []
  let drops = false
  try {
    for (const table of TABLES) {
      const entries = tables.read(family, table)
      if (entries === undefined) continue
      chains.push(...entries.chains().map((name) => ({ table, name })))
      if (table === 'filter') drops = entries.rules('FORWARD').at(-1)?.target === DROP
    }
  } catch (error) {
    // One that can't be read is no reason to have no rules.
    if (!isSysError(error) && !(error instanceof XtablesError)) throw error
  }
  return { chains, drops }
}

function nftChains(family: Family, namespace: Namespace | undefined) {
  const nothing = { chains: [], drops: false, hasKubeProxyTable: false }
  try {
    using socket = NetlinkSocket.open('netfilter', namespace)
    const all = socket.dump(listChains(family), ({ body }) => parseChain(body))
    const ip = family === 'ipv4' ? 'ip' : 'ip6'
    return {
      chains: all.filter(({ table }) => TABLES.some((name) => name === table)),
      drops: readBaseChains(socket).some(
        ({ table, name, policy }) =>
          table.family === ip && table.name === 'filter' && name === 'FORWARD' && policy === 'drop',
      ),
      hasKubeProxyTable: all.some(({ table }) => table === 'kube-proxy'),
    }
  } catch (error) {
    // A kernel without nf_tables.
    if (!isSysError(error) && !(error instanceof NetlinkError)) throw error
    return nothing
  }
}
