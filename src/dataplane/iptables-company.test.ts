// Chains of ours among rules of others: those stay byte for byte with their counters, however many they are; our jump is
// where packets get to it; and what upstream left behind goes in the order in which the kernel lets it go.
import { describe, expect, test } from 'bun:test'
import { soon } from '../../test/support/dataplane.ts'
import type { TestHost } from '../../test/support/kernel.ts'
import {
  chains,
  chainScope,
  healed,
  inAgreement,
  reconciled,
  saved,
  shAtOnce,
  tablesHost,
  TOOLS,
} from '../../test/support/xtables.ts'
import { run } from '../xtables/run.ts'
import { openDataplane } from './open.ts'

const CLUSTER = { ipv4: '10.244.0.0/16', ipv6: 'fd00:10::/32' } as const
/** With counters, and text that is hard to quote. What a policy counted iptables-legacy itself forgets at each change. */
const FOREIGN = `*nat
:KUBE-POSTROUTING - [0:0]
-A POSTROUTING -m comment --comment "kubernetes \\"postrouting\\" it's -j FLANNEL-POSTRTG \\\\" -j KUBE-POSTROUTING
[7:420] -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
COMMIT
*filter
:FORWARD DROP [0:0]
:KUBE-FORWARD - [0:0]
[11:660] -A FORWARD -i lo -j LOG --log-prefix "FLANNEL-FWD -j: "
-A FORWARD -m string --string "-A FORWARD -j FLANNEL-FWD" --algo bm --to 65535 -j DROP
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
`
const MANY = 5_000

/** All there is but ours, with counters. */
const others = async (host: TestHost, tool: string): Promise<string> =>
  (await host.sh(`${tool}-save -c`))
    .split('\n')
    .filter((line) => !line.startsWith('#') && !/flanneld|:FLANNEL/.test(line))
    .join('\n')

for (const { flavour, family, tool } of TOOLS) {
  const [nat, filter] = chains(flavour, family)
  const load = async (host: TestHost, input: string) => {
    const { namespace } = host
    const { stderr } = await run(`/usr/sbin/${tool}-restore`, ['--counters'], {
      input,
      namespace,
      signal: soon(),
    })
    expect(stderr).toBe('')
  }

  describe(`${tool} beside others`, () => {
    test('leaves their rules as they are: put, healed and removed', async () => {
      await using host = await tablesHost()
      await load(host, FOREIGN)
      const before = await others(host, tool)
      await using reconciler = await reconciled(host, [nat, filter])
      expect(await others(host, tool)).toBe(before)
      // Behind kube-proxy, and it stays there.
      expect((await host.sh(`${tool} -t nat -S POSTROUTING`)).trim().split('\n').at(-1)).toBe(
        `-A POSTROUTING ${nat.jump.rule}`,
      )
      shAtOnce(host, `${tool} -D FORWARD ${filter.jump.rule}; ${tool} -t nat -F FLANNEL-POSTRTG`)
      await healed(reconciler, 2)
      expect(await others(host, tool)).toBe(before)
      reconciler.forget('firewall')
      await inAgreement(reconciler)
      expect(await others(host, tool)).toBe(before)
      expect(await saved(host, tool)).not.toMatch(/flanneld|:FLANNEL/)
    })

    test('goes before a rule that lets nothing through, and follows it', async () => {
      await using host = await tablesHost()
      await host.sh(`${tool} -A FORWARD -i lo -j ACCEPT; ${tool} -A FORWARD -j REJECT`)
      await using reconciler = await reconciled(host, [filter])
      const jumps = async () =>
        (await host.sh(`${tool} -S FORWARD`))
          .trim()
          .split('\n')
          .slice(1)
          .map((line) => line.split(' -j ')[1]?.split(' ')[0])
      expect(await jumps()).toEqual(['ACCEPT', 'FLANNEL-FWD', 'REJECT'])
      await host.sh(`${tool} -I FORWARD -j DROP`)
      await healed(reconciler, 1)
      expect(await jumps()).toEqual(['FLANNEL-FWD', 'DROP', 'ACCEPT', 'REJECT'])
      // A wall of somebody's own chain, which was harmless before.
      shAtOnce(
        host,
        `${tool} -D FORWARD 2; ${tool} -N OWN; ${tool} -I FORWARD -j OWN; ${tool} -A OWN -j DROP`,
      )
      await healed(reconciler, 2)
      expect(await jumps()).toEqual(['FLANNEL-FWD', 'OWN', 'ACCEPT', 'REJECT'])
    })

    if (family === 'ipv4')
      test(`is at home among ${2 * MANY} of their rules`, async () => {
        await using host = await tablesHost()
        const numbers = Array.from({ length: MANY }, (_, i) => i)
        const services = numbers.map(
          (i) => `-A KUBE-SERVICES -p tcp -m tcp --dport ${i + 1} -m mark --mark 0x${i} -j ACCEPT`,
        )
        const firewall = numbers.map((i) => `-A KUBE-FIREWALL -p udp -m udp --dport ${i + 1} -j DROP`)
        await load(
          host,
          `*nat
:KUBE-SERVICES - [0:0]
-A PREROUTING -j KUBE-SERVICES
${services.join('\n')}
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
-A FORWARD -j KUBE-FIREWALL
${firewall.join('\n')}
COMMIT
`,
        )
        const before = await others(host, tool)
        await using reconciler = await reconciled(host, [nat, filter])
        await host.sh(`${tool} -t nat -F FLANNEL-POSTRTG`)
        await healed(reconciler, 1)
        expect(await reconciler.drift()).toEqual([])
        expect(await others(host, tool)).toBe(before)
      }, 30_000)

    test('takes away what upstream left, whatever leads to it', async () => {
      await using host = await tablesHost()
      const network = CLUSTER[family]
      await load(
        host,
        `*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A POSTROUTING -s ${network} -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -s ${network} -m comment --comment "flanneld masq" -j MASQUERADE
COMMIT
*filter
:FLANNEL-FWD - [0:0]
:ADMIN - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A ADMIN -i lo -g FLANNEL-FWD
-A ADMIN -j RETURN
-A FLANNEL-FWD -s ${network} -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
`,
      )
      await using reconciler = openDataplane(chainScope(nat, filter), { namespace: host.namespace })
      // Before all is known that is wanted, nothing goes.
      await reconciler.settled(soon())
      expect(await saved(host, tool)).toContain(':FLANNEL-FWD')
      reconciler.complete()
      await inAgreement(reconciler)
      expect(reconciler.failures).toEqual(new Map())
      const left = await saved(host, tool)
      expect(left).not.toContain('FLANNEL')
      expect(left).toContain('-A ADMIN -j RETURN')
    })
  })
}
