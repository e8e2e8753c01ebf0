// Chains of ours in real iptables of both flavours: put, healed, inAgreement, removed, in tables that others fill as well.
import { describe, expect, test } from 'bun:test'
import {
  chains,
  healed,
  inAgreement,
  reconciled,
  saved,
  shAtOnce,
  tablesHost,
  TOOLS,
} from '../../test/support/xtables.ts'

for (const { flavour, family, tool } of TOOLS) {
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
        await inAgreement(reconciler)
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
        shAtOnce(host, harm)
        await healed(reconciler, index + 1)
        expect([harm, await saved(host, tool)]).toEqual([harm, before])
      }
    })
  })
}
