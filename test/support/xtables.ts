// For tests that run iptables: hosts whose legacy iptables take a lock of their own.
import { execFileSync } from 'node:child_process'
import type { Ownership } from '../../src/dataplane/kind.ts'
import { iptablesChainKind } from '../../src/dataplane/kinds/iptables-chain.ts'
import { type DataplaneOptions, openDataplane } from '../../src/dataplane/open.ts'
import type { Reconciler } from '../../src/dataplane/reconciler.ts'
import type { Family } from '../../src/model/ip.ts'
import type { IptablesChain, IptablesFlavour, NftRule } from '../../src/model/kernel.ts'
import { jumpText, ruleText } from '../../src/xtables/rule-text.ts'
import { kernel, type TestHost } from './kernel.ts'
import { prefix } from './values.ts'

/** Instead of the host's lock, which is one file for all network namespaces; and no file that would be left behind. */
const NO_FILE = '/dev/null'

/** A fresh network namespace, and from now on this process and its children leave the host's xtables lock alone. */
export async function tablesHost(): Promise<TestHost> {
  process.env['XTABLES_LOCKFILE'] ??= NO_FILE
  return kernel()
}

export const TOOLS = (['legacy', 'nf_tables'] as const).flatMap((flavour) =>
  (['ipv4', 'ipv6'] as const).map((family) => ({
    flavour,
    family,
    tool: `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${flavour === 'legacy' ? 'legacy' : 'nft'}`,
  })),
)

/** A cluster's, as short as they can be. */
const CLUSTER = { ipv4: prefix('10.244.0.0/16'), ipv6: prefix('fd00:10::/32') } as const

export function chains(
  flavour: IptablesFlavour,
  family: Family,
): readonly [nat: IptablesChain, filter: IptablesChain] {
  const at = (match: 'saddr' | 'daddr') => ({ match, not: false, prefix: CLUSTER[family] }) as const
  const masq: NftRule[] = [
    { matches: [{ match: 'mark', value: 0x4000, mask: 0x4000 }], verdict: { verdict: 'return' } },
    { matches: [at('saddr'), at('daddr')], verdict: { verdict: 'return' } },
    { matches: [at('saddr')], verdict: { verdict: 'masquerade', fullyRandom: true } },
  ]
  const forward: NftRule[] = [
    { matches: [at('saddr')], verdict: { verdict: 'accept' } },
    { matches: [at('daddr')], verdict: { verdict: 'accept' } },
  ]
  const shared = { kind: 'iptables-chain', flavour, family } as const
  return [
    {
      ...shared,
      table: 'nat',
      name: 'FLANNEL-POSTRTG',
      rules: masq.map((rule) => ruleText(rule, 'flanneld masq')),
      jump: { from: 'POSTROUTING', rule: jumpText('FLANNEL-POSTRTG', 'flanneld masq') },
    },
    {
      ...shared,
      table: 'filter',
      name: 'FLANNEL-FWD',
      rules: forward.map((rule) => ruleText(rule, 'flanneld forward')),
      jump: { from: 'FORWARD', rule: jumpText('FLANNEL-FWD', 'flanneld forward') },
    },
  ]
}

export const chainScope = (...some: readonly IptablesChain[]): Ownership => ({
  links: new Set(),
  networks: [prefix('10.0.0.0/8')],
  tables: new Set(),
  chains: new Set(some.map((chain) => iptablesChainKind.key(chain))),
})

/** With these chains, of which it may have put none yet. */
export function reconciler(
  host: TestHost,
  want: readonly IptablesChain[],
  options: DataplaneOptions = {},
): Reconciler {
  const opened = openDataplane(chainScope(...want), { namespace: host.namespace, ...options })
  opened.want('firewall', want)
  opened.complete()
  return opened
}

/** Once all chains are as wanted: on a slow host a transaction outlasts the round that began it. */
export async function inAgreement(reconciler: Reconciler): Promise<void> {
  const deadline = AbortSignal.timeout(30_000)
  for (;;) {
    await reconciler.settled(deadline)
    const { wanted = 0, actual, programmed } = reconciler.report().kinds['iptables-chain'] ?? {}
    if (actual === wanted && programmed === wanted) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** As `reconciler`, with all chains put. */
export async function reconciled(...given: Parameters<typeof reconciler>): Promise<Reconciler> {
  const opened = reconciler(...given)
  await inAgreement(opened)
  return opened
}

/** Without counters and the time it was made. */
export const saved = async (host: TestHost, tool: string): Promise<string> =>
  (await host.sh(`${tool}-save`)).replaceAll(/^#.*\n/gm, '').replaceAll(/ \[\d+:\d+\]$/gm, '')

/** Runs a shell command while this process stands still: no reconciler of ours gets in between. */
export function shAtOnce(host: TestHost, command: string): void {
  execFileSync('nsenter', [`--net=${host.namespace.path}`, 'sh', '-ec', command], { stdio: 'pipe' })
}

/** Once so many repairs have been made. */
export async function healed(reconciler: Reconciler, repairs: number): Promise<void> {
  const deadline = AbortSignal.timeout(20_000)
  while (reconciler.report().repairs < repairs) {
    deadline.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await inAgreement(reconciler)
}
