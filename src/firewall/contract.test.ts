// What both appliers have to fulfil, in each flavour of iptables: the rules read as upstream's, do to packets what
// flannel-compat 6.1 says, are put back, and move from one to another without a moment in which there are none.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { soon } from '../../test/support/dataplane.ts'
import type { TestHost } from '../../test/support/kernel.ts'
import { network, type Places } from '../../test/support/places.ts'
import { eventually, Running } from '../../test/support/process.ts'
import { prefix } from '../../test/support/values.ts'
import { openDataplane } from '../dataplane/open.ts'
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { KernelObject } from '../model/kernel.ts'
import { FLAVOURS, type Applier } from './applier.ts'
import { ownChains } from './chain-names.ts'
import { firewallChains } from './iptables-chains.ts'
import { firewallTables, ownTables, type FirewallOptions } from './rules.ts'

setDefaultTimeout(60_000)

const V4 = { network: prefix('10.42.0.0/16'), subnet: prefix('10.42.1.0/24') }
const V6 = { network: prefix('fd00:42::/48'), subnet: prefix('fd00:42:0:1::/64') }
const ALL: FirewallOptions = {
  masquerade: true,
  forward: true,
  fullyRandom: true,
  spared: [prefix('198.51.100.0/24'), prefix('2001:db8:5::/48')],
}
const APPLIERS: readonly Applier[] = ['nftables', 'iptables-legacy', 'iptables-nft']

const objects = (applier: Applier, options: FirewallOptions = ALL): readonly KernelObject[] =>
  applier === 'nftables'
    ? firewallTables(options, [V4, V6])
    : [V4, V6].flatMap((net) => firewallChains(FLAVOURS[applier], options, net))

function reconcilerOn(host: TestHost): Reconciler {
  const scope = { links: new Set<string>(), networks: [], tables: ownTables(), chains: ownChains() }
  const reconciler = openDataplane(scope, { namespace: host.namespace })
  reconciler.complete()
  return reconciler
}

/** Once all is as it is wanted, and nothing else of ours is there. */
const agreed = (reconciler: Reconciler) =>
  eventually(
    'the kernel has what is wanted',
    async () => {
      await reconciler.settled(soon())
      return (await reconciler.drift()).length === 0 || undefined
    },
    30,
  )

async function apply(reconciler: Reconciler, applier: Applier, options = ALL): Promise<void> {
  reconciler.want('firewall', objects(applier, options))
  await agreed(reconciler)
}

/** Upstream's text of flannel-compat 9.6, with the networks that are spared. */
const chainsText = (c: string, p: string, multicast: string, spared: readonly string[]) => `\
-N FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s ${p} -d ${c} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s ${c} -d ${p} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s ${c} -d ${p} -m comment --comment "flanneld masq" -j RETURN
${spared.map((s) => `-A FLANNEL-POSTRTG -s ${c} -d ${s} -m comment --comment "flanneld masq" -j RETURN\n`).join('')}\
-A FLANNEL-POSTRTG -s ${c} ! -d ${multicast} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s ${c} -d ${c} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-N FLANNEL-FWD
-A FLANNEL-FWD -s ${c} -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d ${c} -m comment --comment "flanneld forward" -j ACCEPT
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
`
const listed = (host: TestHost, tool: string) =>
  host.sh(`${tool} -t nat -S FLANNEL-POSTRTG; ${tool} -t nat -S POSTROUTING | grep FLANNEL
    ${tool} -S FLANNEL-FWD; ${tool} -S FORWARD | grep FLANNEL`)

/** Takes all rules away, as others do it. */
/** A chain that has its jump again already can't be deleted. */
const flush = (applier: Applier): string =>
  applier === 'nftables'
    ? 'nft flush ruleset'
    : ['iptables', 'ip6tables']
        .map((name) => name + applier.slice('iptables'.length))
        .flatMap((tool) =>
          ['nat', 'filter'].map((table) => `${tool} -t ${table} -F; ${tool} -t ${table} -X || true`),
        )
        .join('; ')

for (const applier of APPLIERS)
  describe(`rules by ${applier}`, () => {
    let net: Places
    let reconciler: Reconciler
    beforeAll(async () => {
      net = await network()
      // Other networks outside.
      await net.router.sh(
        'ip route add 198.51.100.0/24 via 203.0.113.9; ip route add 2001:db8:5::/48 via 2001:db8::9',
      )
      await net.places.outside.sh(
        'ip addr add 203.0.113.10/24 dev eth0; ip addr add 198.51.100.7/32 dev lo; ip addr add 2001:db8:5::7/128 dev lo nodad',
      )
      reconciler = reconcilerOn(net.router)
      await apply(reconciler, applier)
    })
    afterAll(async () => {
      await reconciler[Symbol.asyncDispose]()
      await net[Symbol.asyncDispose]()
    })

    test('read as upstream’s', async () => {
      if (applier === 'nftables') {
        expect(await net.router.sh('nft list chain ip flannel-ipv4 postrtg')).toContain(
          'ip saddr 10.42.0.0/16 ip daddr 198.51.100.0/24 return',
        )
        await apply(reconciler, applier, { ...ALL, spared: [], upstreamText: true })
        expect(await net.router.sh('nft list table ip flannel-ipv4; nft list table ip6 flannel-ipv6')).toBe(
          nftText('ip', 'flannel-ipv4', V4, '224.0.0.0/4') + nftText('ip6', 'flannel-ipv6', V6, 'ff00::/8'),
        )
        await apply(reconciler, applier)
        return
      }
      const suffix = applier.slice('iptables'.length)
      const text = ({ network: c, subnet: p }: typeof V4, multicast: string, spared: string) =>
        chainsText(c, p, multicast, [spared])
      expect(await listed(net.router, `iptables${suffix}`)).toBe(text(V4, '224.0.0.0/4', '198.51.100.0/24'))
      expect(await listed(net.router, `ip6tables${suffix}`)).toBe(text(V6, 'ff00::/8', '2001:db8:5::/48'))
    })

    test('masquerade what leaves, and nothing else', async () => {
      const seen = (...args: Parameters<Places['seenBy']>) => net.seenBy(...args)
      expect([
        await seen('outside', 'pod', '203.0.113.9'),
        await seen('outside', 'pod', '2001:db8::9'),
        await seen('remote', 'pod', '10.42.2.5'),
        await seen('remote', 'pod', 'fd00:42:0:2::5'),
        await seen('pod', 'remote', '10.42.1.5', '10.42.2.5'),
        await seen('pod', 'outside', '10.42.1.5'),
        await seen('pod', 'outside', 'fd00:42:0:1::5'),
        await seen('remote', 'outside', '10.42.2.5'),
        await seen('remote', 'outside', 'fd00:42:0:2::5'),
        await seen('outside', 'pod', '198.51.100.7'),
        await seen('outside', 'pod', '2001:db8:5::7'),
      ]).toEqual([
        '203.0.113.1',
        '2001:db8::1',
        '10.42.1.5',
        'fd00:42:0:1::5',
        '10.42.2.5',
        '203.0.113.9',
        '2001:db8::9',
        '192.168.0.1',
        'fd00:c0a8::1',
        '10.42.1.5',
        'fd00:42:0:1::5',
      ])
    })

    test('leave multicast alone', async () => {
      // The kernel sends such by the link that has the source address.
      await net.router.sh('ip addr replace 10.42.1.77/32 dev to-outside')
      await using ear = Running.start(
        'tcpdump',
        ['-nl', '--immediate-mode', '-i', 'eth0', 'udp and dst host 224.0.0.99'],
        {
          namespace: net.places.outside.namespace,
        },
      )
      await ear.line(/^listening/)
      await net.sendFromRouter('224.0.0.99', { source: '10.42.1.77' })
      expect(await ear.line(/ > 224\.0\.0\.99/)).toContain(' 10.42.1.77.')
    })

    test('leave to kube-proxy what bears its mark, whatever else is in it', async () => {
      const mark = (value: string) =>
        net.router.sh(`nft -f - <<'END'
          add table ip marks
          delete table ip marks
          table ip marks {
            chain c { type filter hook prerouting priority mangle ; ip saddr 10.42.1.5 meta mark set ${value} ; }
          }
END`)
      await mark('0x4001')
      expect(await net.seenBy('outside', 'pod', '203.0.113.9')).toBe('10.42.1.5')
      await mark('0x8001')
      expect(await net.seenBy('outside', 'pod', '203.0.113.9')).toBe('203.0.113.1')
      await net.router.sh('nft delete table ip marks')
    })

    if (applier !== 'nftables')
      test('let pods through where the policy of forwarded packets is to drop them', async () => {
        await net.router.sh(`${applier} -P FORWARD DROP`)
        expect(await net.seenBy('outside', 'pod', '203.0.113.9')).toBe('203.0.113.1')
        expect(await net.seenBy('pod', 'outside', '10.42.1.5')).toBe('203.0.113.9')
        await net.router.sh(`${applier} -P FORWARD ACCEPT`)
      })

    test('are put back when somebody flushes them', async () => {
      const before = reconciler.report().repairs
      await net.router.sh(flush(applier))
      await eventually('a repair', () => reconciler.report().repairs > before || undefined, 30)
      await agreed(reconciler)
      expect(await net.seenBy('outside', 'pod', '203.0.113.9')).toBe('203.0.113.1')
    })

    test.each(APPLIERS.filter((other) => other !== applier))(
      'go over to %s and come back, and no packet leaves unmasqueraded',
      async (other) => {
        const count = 600
        // Nothing went there before: a connection that is tracked keeps its address.
        const before = net.heard('outside')
        const sent = net.send('pod', '203.0.113.10', { count, everyMs: 1 })
        const over = new AbortController()
        void sent.finally(() => over.abort())
        let rounds = 0
        for (; rounds < 1 || (!over.signal.aborted && rounds < 4); rounds++) {
          await apply(reconciler, other)
          await apply(reconciler, applier)
        }
        await sent
        const sources = new Set<string>()
        for (let i = 0; i < count; i++) sources.add((await net.next('outside')).address)
        expect([...sources]).toEqual(['203.0.113.1'])
        expect(net.heard('outside')).toBe(before + count)
      },
    )
  })

const nftText = (word: string, name: string, { network: c, subnet: p }: typeof V4, multicast: string) => `\
table ${word} ${name} {
	comment "rules for ${name}"
	chain postrtg {
		comment "chain to manage traffic masquerading by flannel"
		type nat hook postrouting priority srcnat; policy accept;
		meta mark 0x00004000 return
		${word} saddr ${p} ${word} daddr ${c} return
		${word} saddr ${c} ${word} daddr ${p} return
		${word} saddr != ${p} ${word} daddr ${c} return
		${word} saddr ${c} ${word} daddr != ${multicast} masquerade fully-random
		${word} saddr != ${c} ${word} daddr ${c} masquerade fully-random
	}

	chain forward {
		comment "chain to accept flannel traffic"
		type filter hook forward priority filter; policy accept;
		${word} saddr ${c} accept
		${word} daddr ${c} accept
	}
}
`
