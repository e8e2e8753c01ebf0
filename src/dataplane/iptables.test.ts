// Chains of ours in real iptables of both flavours: put, healed, removed, in tables that others fill as well.
import { describe, expect, test } from 'bun:test'
import { soon } from '../../test/support/dataplane.ts'
import type { TestHost } from '../../test/support/kernel.ts'
import { prefix } from '../../test/support/values.ts'
import { tablesHost } from '../../test/support/xtables.ts'
import type { Family } from '../model/ip.ts'
import type { IptablesChain, IptablesFlavour, NftRule } from '../model/kernel.ts'
import { jumpText, ruleText } from '../xtables/rule-text.ts'
import type { Ownership } from './kind.ts'
import { iptablesChainKind } from './kinds/iptables-chain.ts'
import { openDataplane } from './open.ts'
import type { Reconciler } from './reconciler.ts'

const CLUSTER = { ipv4: prefix('10.244.0.0/16'), ipv6: prefix('fd00:10::/32') } as const

function chains(
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

const scope = (...some: readonly IptablesChain[]): Ownership => ({
  links: new Set(),
  networks: [],
  tables: new Set(),
  chains: new Set(some.map((chain) => iptablesChainKind.key(chain))),
})

async function reconciled(host: TestHost, want: readonly IptablesChain[]): Promise<Reconciler> {
  const reconciler = openDataplane(scope(...want), { namespace: host.namespace })
  reconciler.want('firewall', want)
  reconciler.complete()
  await reconciler.settled(soon())
  return reconciler
}

/** Without counters and the time it was made. */
const saved = async (host: TestHost, tool: string): Promise<string> =>
  (await host.sh(`${tool}-save`)).replaceAll(/^#.*\n/gm, '').replaceAll(/ \[\d+:\d+\]$/gm, '')

for (const flavour of ['legacy', 'nf_tables'] as const)
  for (const family of ['ipv4', 'ipv6'] as const) {
    const tool = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${flavour === 'legacy' ? 'legacy' : 'nft'}`
    const [nat, filter] = chains(flavour, family)
    describe(tool, () => {
      test('has the chains in the words of upstream, and none when they are not wanted any more', async () => {
        await using host = await tablesHost()
        {
          await using reconciler = await reconciled(host, [nat, filter])
          expect(reconciler.failures).toEqual(new Map())
          expect(await reconciler.drift()).toEqual([])
          expect(await host.sh(`${tool} -t nat -S POSTROUTING; ${tool} -t nat -S FLANNEL-POSTRTG`)).toBe(
            [
              '-P POSTROUTING ACCEPT',
              '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
              '-N FLANNEL-POSTRTG',
              ...nat.rules.map((rule) => `-A FLANNEL-POSTRTG ${rule}`),
              '',
            ].join('\n'),
          )
          expect(await host.sh(`${tool} -S FORWARD`)).toContain(`-A FORWARD ${filter.jump.rule}`)
          reconciler.forget('firewall')
          await reconciler.settled(soon())
          expect(reconciler.failures).toEqual(new Map())
        }
        expect(await saved(host, tool)).not.toContain('FLANNEL')
      })

      test('heals', async () => {
        await using host = await tablesHost()
        await using reconciler = await reconciled(host, [nat, filter])
        const before = await saved(host, tool)
        const harms = [
          `${tool} -t nat -F`,
          `${tool} -F; ${tool} -X`,
          `${tool} -t nat -D POSTROUTING ${nat.jump.rule}`,
          `${tool} -A FORWARD ${filter.jump.rule}`,
          `${tool} -t nat -I FLANNEL-POSTRTG -j RETURN`,
          `${tool} -D FLANNEL-FWD 1`,
          `${tool} -I FORWARD -j FLANNEL-FWD`,
        ]
        for (const [index, harm] of harms.entries()) {
          await host.sh(harm)
          await healed(reconciler, index + 1)
          expect([harm, await saved(host, tool)]).toEqual([harm, before])
        }
      })
    })
  }

/** Once so many repairs have been made. */
async function healed(reconciler: Reconciler, repairs: number): Promise<void> {
  const deadline = AbortSignal.timeout(20_000)
  while (reconciler.report().repairs < repairs) {
    deadline.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await reconciler.settled(deadline)
}
