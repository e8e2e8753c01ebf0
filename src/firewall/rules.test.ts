// The rules as nft lists them, and what they do to packets between a pod, pods of other hosts and the outside.
import { describe, expect, test } from 'bun:test'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { Running } from '../../test/support/process.ts'
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

type Place = 'pod' | 'remote' | 'outside'

/** A router (this host) with a pod, a remote host with a pod of its own, and the outside; each tells whom it hears. */
async function network() {
  await using made = new AsyncDisposableStack()
  const host = async () => made.use(await kernel())
  const router = await host()
  const places = { pod: await host(), remote: await host(), outside: await host() }
  const wire = (name: Place) =>
    `ip link add to-${name} type veth peer name eth0 netns ${places[name].namespace.path}; ip link set to-${name} up`
  await router.sh(`${wire('pod')}; ${wire('remote')}; ${wire('outside')}
    ip addr add 10.42.1.1/24 dev to-pod; ip addr add fd00:42:0:1::1/64 dev to-pod nodad
    ip addr add 192.168.0.1/24 dev to-remote; ip addr add fd00:c0a8::1/64 dev to-remote nodad
    ip addr add 203.0.113.1/24 dev to-outside; ip addr add 2001:db8::1/64 dev to-outside nodad
    ip route add 10.42.2.0/24 via 192.168.0.2; ip route add fd00:42:0:2::/64 via fd00:c0a8::2
    echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`)
  const address = (name: Place, v4: string, v6: string, via4: string, via6: string) =>
    places[name].sh(`ip addr add ${v4} dev eth0; ip addr add ${v6} dev eth0 nodad; ip link set eth0 up
      ip route add default via ${via4}; ip route add default via ${via6}`)
  await Promise.all([
    address('pod', '10.42.1.5/24', 'fd00:42:0:1::5/64', '10.42.1.1', 'fd00:42:0:1::1'),
    address('remote', '192.168.0.2/24', 'fd00:c0a8::2/64', '192.168.0.1', 'fd00:c0a8::1'),
    address('outside', '203.0.113.9/24', '2001:db8::9/64', '203.0.113.1', '2001:db8::1'),
  ])
  await places.remote.sh('ip addr add 10.42.2.5/32 dev lo; ip addr add fd00:42:0:2::5/128 dev lo nodad')
  const ears = new Map<Place, { process: Running; heard: number }>()
  for (const [name, place] of Object.entries(places)) {
    const process = made.use(bun(place, LISTEN))
    ears.set(name as Place, { process, heard: 1 })
  }
  for (const { process } of ears.values()) await process.line(/ready/)
  const held = made.move()

  const send = async (from: Place, to: string, options: Record<string, unknown> = {}): Promise<void> => {
    await using sender = bun(places[from], SEND, { to, ...options })
    const { code } = await sender.ended
    if (code !== 0) throw new Error(`${from} could not send to ${to}: ${sender.tail()}`)
  }
  const next = async (name: Place): Promise<{ address: string; port: number }> => {
    const ear = ears.get(name)
    if (ear === undefined) throw new Error(`nobody listens in ${name}`)
    const line = await ear.process.line(/^{/, { from: ear.heard++ })
    return JSON.parse(line) as { address: string; port: number }
  }
  return {
    router,
    send,
    next,
    /** Source address that `who` sees of a packet from `from` to `to`. */
    async seenBy(who: Place, from: Place, to: string, source?: string): Promise<string> {
      await send(from, to, { source })
      return (await next(who)).address
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

const bun = (host: TestHost, script: string, options: Record<string, unknown> = {}): Running =>
  Running.start(process.execPath, ['-e', `const options = ${JSON.stringify(options)}\n${script}`], {
    namespace: host.namespace,
  })

const LISTEN = `
  import { createSocket } from 'node:dgram'
  const socket = createSocket({ type: 'udp6', recvBufferSize: 4 << 20 })
  socket.on('message', (_, { address, port }) =>
    console.log(JSON.stringify({ address: address.replace('::ffff:', ''), port })))
  socket.bind(7777, '::', () => console.log('ready'))`

/** One packet, or many, each from a socket of its own: to the filter a new connection. */
const SEND = `
  import { createSocket } from 'node:dgram'
  const { to, source, sourcePort, count = 1 } = options
  for (let i = 0; i < count; i++) {
    const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
    await new Promise((resolve) => socket.bind(sourcePort ?? 0, source, resolve))
    await new Promise((resolve, reject) => socket.send('x', 7777, to, (e) => (e ? reject(e) : resolve())))
    socket.close()
  }`
