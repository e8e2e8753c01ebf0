// The rules as nft lists them, and what they do to packets between a pod, pods of other hosts and the outside.
import { describe, expect, test } from 'bun:test'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { network } from '../../test/support/places.ts'
import { prefix } from '../../test/support/values.ts'
import { replaceTable } from '../netlink/nftables/transaction.ts'
import { firewallTables, tableName, type FirewallOptions } from './rules.ts'

const ALL: FirewallOptions = { masquerade: true, forward: true, fullyRandom: true }
const V4 = { network: prefix('10.42.0.0/16'), subnet: prefix('10.42.1.0/24') }
const V6 = { network: prefix('fd00:42::/48'), subnet: prefix('fd00:42:0:1::/64') }

function install(host: TestHost, options: FirewallOptions = ALL): void {
  for (const table of firewallTables(options, [V4, V6])) replaceTable(host.netlink('netfilter'), table)
}

describe('the rules', () => {
  test('read as upstream prints them, but for the two it has wrong', async () => {
    await using host = await kernel()
    install(host)
    expect(await host.sh('nft list table ip flannel-ipv4')).toBe(`table ip flannel-ipv4 {
	comment "rules for flannel-ipv4"
	chain postrtg {
		comment "chain to manage traffic masquerading by flannel"
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 == 0x00004000 return
		ip saddr 10.42.1.0/24 ip daddr 10.42.0.0/16 return
		ip saddr 10.42.0.0/16 ip daddr 10.42.1.0/24 return
		ip saddr != 10.42.0.0/16 ip daddr 10.42.1.0/24 return
		ip saddr 10.42.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
		ip saddr != 10.42.0.0/16 ip daddr 10.42.0.0/16 masquerade fully-random
	}

	chain forward {
		comment "chain to accept flannel traffic"
		type filter hook forward priority filter; policy accept;
		ip saddr 10.42.0.0/16 accept
		ip daddr 10.42.0.0/16 accept
	}
}
`)
    expect(await host.sh('nft list chain ip6 flannel-ipv6 postrtg')).toContain(
      'ip6 saddr fd00:42::/48 ip6 daddr != ff00::/8 masquerade fully-random',
    )
  })

  test('are switched by ip-masq, forward-rules and random-fully', () => {
    const chains = (options: Partial<FirewallOptions>) =>
      firewallTables({ ...ALL, ...options }, [V4]).map((table) => table.chains.map(({ name }) => name))
    expect(chains({})).toEqual([['postrtg', 'forward']])
    expect(chains({ masquerade: false })).toEqual([['forward']])
    expect(chains({ forward: false })).toEqual([['postrtg']])
    expect(chains({ masquerade: false, forward: false })).toEqual([])
    expect(JSON.stringify(firewallTables({ ...ALL, fullyRandom: false }, [V4]))).not.toContain(
      '"fullyRandom":true',
    )
    expect(firewallTables(ALL, [V6, V4]).map(({ name }) => name)).toEqual([
      tableName('ipv6'),
      tableName('ipv4'),
    ])
  })
})

describe('packets', () => {
  test('carry the source address that their way asks for', async () => {
    await using net = await network()
    install(net.router)
    expect(await net.seenBy('outside', 'pod', '203.0.113.9')).toBe('203.0.113.1')
    expect(await net.seenBy('outside', 'pod', '2001:db8::9')).toBe('2001:db8::1')
    expect(await net.seenBy('remote', 'pod', '10.42.2.5')).toBe('10.42.1.5')
    expect(await net.seenBy('pod', 'remote', '10.42.1.5', '10.42.2.5')).toBe('10.42.2.5')
    expect(await net.seenBy('pod', 'outside', '10.42.1.5')).toBe('203.0.113.9')
    // Without masquerade its answer would not come back through the router: upstream's nft mode lacks it.
    expect(await net.seenBy('remote', 'outside', '10.42.2.5')).toBe('192.168.0.1')
    expect(await net.seenBy('remote', 'outside', 'fd00:42:0:2::5')).toBe('fd00:c0a8::1')
  })

  test('that kube-proxy will masquerade are left to it, whatever other bits their mark has', async () => {
    await using net = await network()
    install(net.router)
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
  })

  test('weak point 41: upstream’s text leaves its last rule nothing to masquerade, and takes no mark with other bits', async () => {
    await using net = await network()
    const seen = async (options: FirewallOptions) => {
      install(net.router, options)
      return await net.seenBy('remote', 'outside', '10.42.2.5')
    }
    expect([await seen({ ...ALL, upstreamText: true }), await seen(ALL)]).toEqual([
      '203.0.113.9',
      '192.168.0.1',
    ])
  })

  test('leave from a random port only where that is asked for', async () => {
    await using net = await network()
    const seenOf = async (sourcePort: number) => {
      await net.send('pod', '203.0.113.9', { sourcePort })
      return (await net.next('outside')).port
    }
    install(net.router, { ...ALL, fullyRandom: false })
    expect([await seenOf(40_001), await seenOf(40_002)]).toEqual([40_001, 40_002])
    install(net.router)
    expect([await seenOf(40_003), await seenOf(40_004)]).not.toEqual([40_003, 40_004])
  })

  test('of new connections never leave unmasqueraded while the table is exchanged', async () => {
    await using net = await network()
    install(net.router)
    const count = 1500
    const sent = net.send('pod', '203.0.113.9', { count })
    const over = new AbortController()
    void sent.finally(() => over.abort())
    for (let i = 0; i < 50 || !over.signal.aborted; i++) {
      install(net.router, { ...ALL, fullyRandom: i % 2 === 0 })
      await new Promise(setImmediate)
    }
    await sent
    const sources = new Map<string, number>()
    for (let i = 0; i < count; i++) {
      const { address } = await net.next('outside')
      sources.set(address, (sources.get(address) ?? 0) + 1)
    }
    expect([...sources]).toEqual([['203.0.113.1', count]])
  })
})
