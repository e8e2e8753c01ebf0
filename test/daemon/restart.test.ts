// A restart, however the daemon ended, is the same operation as any other: compare and apply. Traffic doesn't notice,
// nothing is written where nothing is to do, and what left meanwhile goes.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Changes } from '../support/changes.ts'
import { flannelPart, foreignPart } from '../support/data-plane.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host, type Pod } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

const ARGS = ['--ip-masq']
const GONE = { subnet: '10.244.99.0/24', publicIp: '192.168.100.99', mac: '02:42:00:00:00:99' }
const lease = vxlanLease(GONE.publicIp, GONE.mac)

describe('a restart', () => {
  const stack = new AsyncDisposableStack()
  let segment: Segment
  let host: Host
  let store: TestStore
  let pods: readonly [Pod, Pod]
  let flanneld: Flanneld

  beforeAll(async () => {
    segment = stack.use(await Segment.create(2))
    host = segment.host(1)
    store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
    flanneld = await Flanneld.start(host, store, { args: ARGS })
    stack.defer(() => flanneld[Symbol.asyncDispose]())
    stack.use(await Flanneld.start(segment.host(2), store))
    pods = [await host.pod(), await segment.host(2).pod()]
    await eventually(
      'the pods reach each other',
      async () => (await pods[0].reaches(pods[1].ip)) || undefined,
    )
    using changes = new Changes(host)
    await changes.quiet()
  })
  afterAll(() => stack.disposeAsync())

  /** Starts it again; back when it is ready and has told so. */
  async function again(): Promise<void> {
    flanneld = await Flanneld.start(host, store, { args: ARGS })
    await eventually('ready', async () => (await flanneld.report()).ready || undefined)
  }

  for (const signal of ['SIGKILL', 'SIGTERM'] as const)
    test(`after ${signal} under traffic: nothing lost, nothing written to the kernel`, async () => {
      using changes = new Changes(host)
      await using traffic = await Traffic.start(pods[0].namespace, pods[1].ip)
      const { subnet } = host
      await flanneld.end(signal)
      await again()
      await new Promise((resolve) => setTimeout(resolve, 300))
      const { sent, lost } = await traffic.stop()
      expect(lost).toBe(0)
      expect(sent).toBeGreaterThan(20)
      expect(host.subnet).toBe(subnet)
      expect(await changes.take()).toEqual([])
    })

  test('removes peers that left meanwhile, and only them', async () => {
    const without = await flannelPart(host)
    store.put(leaseKey(GONE.subnet), lease)
    await eventually(
      'the peer is there',
      async () => (await flannelPart(host)).includes(GONE.mac) || undefined,
    )
    await flanneld.end('SIGKILL')
    store.delete(leaseKey(GONE.subnet))
    expect(await flannelPart(host)).toContain(GONE.mac)
    await again()
    await eventually('the peer is gone', async () =>
      (await flannelPart(host)) === without ? true : undefined,
    )
  })

  test('repairs what was broken meanwhile', async () => {
    const whole = await flannelPart(host)
    await flanneld.end('SIGKILL')
    await host.sh('ip nexthop flush proto 0x68; ip addr flush dev flannel.1; nft flush ruleset')
    await again()
    await eventually('whole', async () => ((await flannelPart(host)) === whole ? true : undefined))
  })

  test('puts its device back in the place that another tunnel took meanwhile', async () => {
    const whole = await flannelPart(host)
    await flanneld.end('SIGKILL')
    await host.sh(
      'ip link add other type vxlan id 77 dev lo dstport 4789; ip link set flannel.1 name odd0; ip link set other name flannel.1',
    )
    await again()
    await eventually('whole', async () => ((await flannelPart(host)) === whole ? true : undefined))
    expect(await host.sh('ip -br link')).not.toContain('odd0')
  })
})

describe("what isn't heddle's", () => {
  test('stays as it is through start, peers that come and go, harm, restart and stop', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
    await host.sh(`
      ip link add vxlan9 address 02:00:00:00:09:09 type vxlan id 9 local ${host.ip} dev eth0 dstport 4789 nolearning
      ip addr add 10.9.0.1/24 dev vxlan9; ip link set vxlan9 up
      ip neigh add 10.9.0.2 lladdr 02:00:00:00:09:01 dev vxlan9 nud permanent
      bridge fdb add 02:00:00:00:09:01 dev vxlan9 dst 192.168.100.77 self permanent
      ip nexthop add id 9 via 10.9.0.2 dev vxlan9
      ip route add 10.77.0.0/24 nhid 9
      ip route add 10.244.80.0/24 via 192.168.100.200 proto static
      ip route add 10.244.81.0/24 via 192.168.100.201 proto bird
      ip route add 10.244.82.0/24 via 192.168.100.202 table 77
      ip neigh add 192.168.100.50 lladdr 02:00:00:00:00:50 dev eth0 nud permanent
      nft -f - <<'end'
        table ip mine {
          chain c {
            type filter hook forward priority 0
            ip saddr 10.244.0.0/16 counter accept
          }
        }
        table inet flannel-like {
          set s {
            type ipv4_addr
            elements = { 10.244.0.1 }
          }
        }
end
    `)
    const foreign = await foreignPart(host)
    for (const round of [1, 2]) {
      const flanneld = await Flanneld.start(host, store, { args: ARGS })
      await using _ = flanneld
      store.put(leaseKey(GONE.subnet), lease)
      await eventually(
        'the peer is there',
        async () => (await flannelPart(host)).includes(GONE.mac) || undefined,
      )
      const whole = await flannelPart(host)
      await host.sh('ip link del flannel.1; nft delete table ip flannel-ipv4')
      await eventually('healed', async () => ((await flannelPart(host)) === whole ? true : undefined))
      store.delete(leaseKey(GONE.subnet))
      await eventually(
        'the peer is gone',
        async () => !(await flannelPart(host)).includes(GONE.mac) || undefined,
      )
      expect(await foreignPart(host)).toBe(foreign)
      await flanneld.end(round === 1 ? 'SIGTERM' : 'SIGKILL')
      expect(await foreignPart(host)).toBe(foreign)
    }
  })
})
