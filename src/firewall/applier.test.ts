// Where rules go, by what a host shows; and what is read of a real one.
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { soon } from '../../test/support/dataplane.ts'
import { tablesHost } from '../../test/support/xtables.ts'
import { chooseApplier, needsFacts, type FirewallFacts } from './applier.ts'
import { firewallFacts } from './facts.ts'

const NO_USE = { kubeProxy: false, drops: false, others: false }
const BOTH = { legacy: { randomFully: true }, nf_tables: { randomFully: true } }
const facts = (changes: Partial<FirewallFacts> = {}): FirewallFacts => ({
  tools: BOTH,
  usual: 'nf_tables',
  use: { legacy: NO_USE, nf_tables: NO_USE },
  hasKubeProxyTable: false,
  ...changes,
})
const use = (changes: Partial<FirewallFacts['use']>) => ({
  use: { legacy: NO_USE, nf_tables: NO_USE, ...changes },
})

describe('rules go', () => {
  test('where they are told to', () => {
    const wishes = ['nftables', 'iptables-legacy', 'iptables-nft'] as const
    for (const wish of wishes)
      for (const enable of [true, false])
        for (const found of [facts(), facts({ tools: {} }), undefined])
          expect(chooseApplier(wish, enable, found)).toMatchObject({
            applier: wish,
            why: `--firewall=${wish}`,
          })
    expect(needsFacts('nftables', false)).toBe(false)
  })

  test('to nf_tables with EnableNFTables, as upstream, and nothing is looked for', () => {
    expect(needsFacts('auto', true)).toBe(false)
    expect(chooseApplier('auto', true, undefined).applier).toBe('nftables')
    // Who asks for iptables by name gets it.
    expect(chooseApplier('iptables', true, facts()).applier).toBe('iptables-nft')
  })

  test.each([
    [facts(), 'iptables-nft', "it is this host's iptables"],
    [facts({ usual: 'legacy' }), 'iptables-legacy', "it is this host's iptables"],
    [facts({ tools: {} }), 'nftables', 'iptables is not installed'],
    [facts({ tools: { legacy: BOTH.legacy } }), 'iptables-legacy', "it is this host's iptables"],
    [
      facts(use({ legacy: { ...NO_USE, kubeProxy: true } })),
      'iptables-legacy',
      'kube-proxy has its chains there',
    ],
    [
      facts({ ...use({ legacy: { ...NO_USE, kubeProxy: true } }), tools: { nf_tables: BOTH.nf_tables } }),
      'iptables-nft',
      "it is this host's iptables",
    ],
    [
      facts(use({ legacy: { ...NO_USE, kubeProxy: true }, nf_tables: { ...NO_USE, kubeProxy: true } })),
      'iptables-nft',
      'kube-proxy has its chains there',
    ],
    [facts({ hasKubeProxyTable: true }), 'nftables', 'kube-proxy has its table in nf_tables'],
    // An accept in a table of its own would not overrule that.
    [
      facts({ hasKubeProxyTable: true, ...use({ legacy: { ...NO_USE, drops: true } }) }),
      'iptables-legacy',
      'its policy for forwarded packets is to drop them',
    ],
    [facts(use({ legacy: { ...NO_USE, others: true } })), 'iptables-legacy', 'chains of others are there'],
  ] as const)('%#: to %j', (found, applier, why) =>
    expect(chooseApplier('auto', false, found)).toMatchObject({ applier, why }),
  )

  test('without --random-fully to an iptables that has none', () => {
    const old = facts({ tools: { legacy: { randomFully: false } } })
    expect(chooseApplier('auto', false, old)).toMatchObject({
      applier: 'iptables-legacy',
      randomFully: false,
    })
  })
})

describe('of a host', () => {
  test.each([
    ['nothing', 'true', NO_USE, NO_USE, false],
    [
      "flannel's own chains",
      'iptables-nft -N FLANNEL-FWD; iptables-legacy -N FLANNEL-FWD',
      NO_USE,
      NO_USE,
      false,
    ],
    [
      "kube-proxy's chains in legacy tables",
      'iptables-legacy -t nat -N KUBE-SERVICES',
      { ...NO_USE, kubeProxy: true, others: true },
      NO_USE,
      false,
    ],
    [
      "kube-proxy's chains in the others",
      'iptables-nft -t nat -N KUBE-SERVICES',
      NO_USE,
      { ...NO_USE, kubeProxy: true, others: true },
      false,
    ],
    [
      "kubelet's chains",
      'iptables-nft -t mangle -N KUBE-KUBELET-CANARY',
      NO_USE,
      { ...NO_USE, others: true },
      false,
    ],
    [
      "kube-proxy's table",
      'nft add table ip kube-proxy; nft add chain ip kube-proxy services',
      NO_USE,
      NO_USE,
      true,
    ],
    ["Docker's policy", 'iptables-nft -P FORWARD DROP', NO_USE, { ...NO_USE, drops: true }, false],
    [
      "Docker's policy in legacy tables",
      'iptables-legacy -P FORWARD DROP',
      { ...NO_USE, drops: true },
      NO_USE,
      false,
    ],
  ] as const)('%s is seen', async (_, command, legacy, nf_tables, hasKubeProxyTable) => {
    await using host = await tablesHost()
    await host.sh(command)
    const found = await firewallFacts('ipv4', soon(), { namespace: host.namespace })
    expect(found.use).toEqual({ legacy, nf_tables })
    expect(found.hasKubeProxyTable).toBe(hasKubeProxyTable)
    expect(Object.keys(found.tools).toSorted()).toEqual(['legacy', 'nf_tables'])
    expect(['legacy', 'nf_tables']).toContain(found.usual ?? '')
    const six = await firewallFacts('ipv6', soon(), { namespace: host.namespace })
    expect(six.use).toEqual({ legacy: NO_USE, nf_tables: NO_USE })
  })

  test('without iptables, that is seen, and no legacy table is made by looking', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'heddle-no-tools-'))
    try {
      await using host = await tablesHost()
      const found = await firewallFacts('ipv4', soon(), { namespace: host.namespace, folders: [empty] })
      expect(found).toMatchObject({ tools: {}, usual: undefined })
      expect(await host.sh('cat /proc/net/ip_tables_names || true')).toBe('')
    } finally {
      rmSync(empty, { recursive: true })
    }
  })
})
