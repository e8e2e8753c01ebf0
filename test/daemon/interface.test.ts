// The interface between hosts is waited for, and followed for life: another address, MTU, name or index moves this
// host's peers over, keeps its subnet, and touches nobody else's traffic.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, STORE_IP, type Host, type Pod } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

const GATEWAY = `ip route replace default via ${STORE_IP}`
const publicIp = (store: TestStore, host: Host) =>
  /"PublicIP":"([\d.]+)"/.exec(store.leases().get(leaseKey(host.subnet)) ?? '')?.[1]
const reached = (from: Pod, to: Pod) =>
  eventually(`${from.ip} reaches ${to.ip}`, async () => (await from.reaches(to.ip)) || undefined)

for (const type of ['vxlan', 'host-gw'])
  describe(`weak point 36: ${type}: a host whose interface changes`, () => {
    const stack = new AsyncDisposableStack()
    let segment: Segment
    let store: TestStore
    let host: Host
    let flanneld: Flanneld
    let pods: readonly [Pod, Pod, Pod]
    let subnet: string
    /** Between two hosts that have nothing to do with it. */
    let traffic: Traffic

    beforeAll(async () => {
      segment = stack.use(await Segment.create(3))
      host = segment.host(3)
      store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
      for (const peer of segment.hosts.slice(0, 2)) stack.use(await Flanneld.start(peer, store))
      flanneld = stack.use(await Flanneld.start(host, store))
      ;({ subnet } = host)
      pods = [await segment.host(1).pod(), await segment.host(2).pod(), await host.pod()]
      await reached(pods[0], pods[1])
      await reached(pods[0], pods[2])
      traffic = stack.use(await Traffic.start(pods[0].namespace, pods[1].ip))
    })
    afterAll(() => stack.disposeAsync())

    /** The host's peers know it there, and its pods are reached, from both sides; all else is as it was. */
    async function settled(ip: string): Promise<void> {
      await eventually(`the lease tells ${ip}`, () => publicIp(store, host) === ip || undefined)
      await reached(pods[0], pods[2])
      await reached(pods[2], pods[1])
      expect(host.subnet).toBe(subnet)
      expect(store.leases().size).toBe(3)
      expect(flanneld.process.running).toBe(true)
      if (type === 'vxlan') expect(await host.sh('ip -d link show flannel.1')).toContain(`local ${ip} `)
    }

    test('another address', async () => {
      await host.sh(`ip addr flush dev eth0 scope global; ip addr add 192.168.100.33/24 dev eth0; ${GATEWAY}`)
      const before = performance.now()
      await settled('192.168.100.33')
      // Less than the store's own deadline of 9 s, within which it would notice that nobody answers at the old address.
      expect(performance.now() - before).toBeLessThan(6_000)
    })

    test('a second address beside the first, then the first one goes', async () => {
      await host.sh('ip addr add 192.168.100.34/24 dev eth0')
      await host.sh('echo 1 > /proc/sys/net/ipv4/conf/eth0/promote_secondaries')
      await settled('192.168.100.33')
      await host.sh(`ip addr del 192.168.100.33/24 dev eth0; ${GATEWAY}`)
      await settled('192.168.100.34')
    })

    test('two other addresses in quick succession', async () => {
      const other = (last: number) =>
        `ip addr flush dev eth0 scope global; ip addr add 192.168.100.${last}/24 dev eth0; ${GATEWAY}`
      await host.sh(`${other(35)}; sleep 0.12; ${other(36)}`)
      await settled('192.168.100.36')
    })

    test('no address for a while: said, and nothing changes', async () => {
      const from = flanneld.process.lines.length
      await host.sh('ip addr flush dev eth0 scope global')
      await flanneld.process.line(/no interface for traffic between hosts.*all stays as it is/, { from })
      expect((await flanneld.ask('/readyz?verbose')).body).toContain('[-]interface failed: ')
      expect(publicIp(store, host)).toBe('192.168.100.36')
      await host.sh(`ip addr add 192.168.100.36/24 dev eth0; ${GATEWAY}`)
      await settled('192.168.100.36')
      await eventually('ready again', async () => (await flanneld.ask('/readyz')).status === 200 || undefined)
    })

    test('another MTU', async () => {
      const overhead = type === 'vxlan' ? 50 : 0
      for (const mtu of [1400, 1500]) {
        await host.sh(`ip link set eth0 mtu ${mtu}`)
        await eventually(
          'subnet.env follows',
          () => host.subnetValue('FLANNEL_MTU') === `${mtu - overhead}` || undefined,
        )
        if (type === 'vxlan')
          await eventually(
            'the device follows',
            () => host.link('flannel.1').mtuBytes === mtu - 50 || undefined,
          )
      }
      await settled('192.168.100.36')
    })

    test('another name', async () => {
      await host.sh(`ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 up; ${GATEWAY}`)
      await eventually('the daemon knows the name', async () => {
        const report = (await flanneld.report()) as { interface?: { link?: string } }
        return report.interface?.link === 'lan0' || undefined
      })
      await settled('192.168.100.36')
    })

    test('gone, and back with another index and another address', async () => {
      const index = host.index('lan0')
      const from = flanneld.process.lines.length
      await host.sh('ip link del lan0; ip link add spare type veth peer name spare0')
      await flanneld.process.line(/no interface for traffic between hosts/, { from })
      await segment.switch.sh(
        `ip link add port3 type veth peer name lan0 netns ${host.namespace.path}; ip link set port3 master br0 up`,
      )
      await host.sh(`ip addr add 192.168.100.37/24 dev lan0; ip link set lan0 up; ${GATEWAY}`)
      expect(host.index('lan0')).not.toBe(index)
      await settled('192.168.100.37')
    })

    test('cost others nothing', async () => {
      const { sent, lost } = await traffic.stop()
      expect(lost).toBe(0)
      expect(sent).toBeGreaterThan(50)
    })
  })

test('weak point 37: without an interface, then an address, then a default route flanneld waits and says for what', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  // The way to the store is another one than that between hosts.
  await segment.switch.sh(
    `ip link add store0 type veth peer name mgmt0 netns ${host.namespace.path}; ip addr add 10.99.0.1/30 dev store0; ip link set store0 up`,
  )
  await host.sh('ip addr add 10.99.0.2/30 dev mgmt0; ip link set mgmt0 up; ip link del eth0')
  await host.sh(`ip route add ${STORE_IP} via 10.99.0.1`)
  const waits = { phase: expect.stringContaining('waiting for the interface between hosts: ') }
  const eth0 = async () => {
    await segment.switch.sh(
      `ip link add port1 type veth peer name eth0 netns ${host.namespace.path}; ip link set port1 master br0 up`,
    )
    await host.sh('ip link set eth0 up')
  }
  {
    await using flanneld = Flanneld.launch(host, store, { args: ['--iface=eth0'] })
    await flanneld.process.line(/no interface for traffic between hosts: there is no interface eth0/)
    expect(await flanneld.report()).toMatchObject(waits)
    await eth0()
    await flanneld.process.line(
      /no interface for traffic between hosts: interface eth0 has no usable IPv4 address/,
    )
    expect(await flanneld.report()).toMatchObject(waits)
    await host.sh(`ip addr add ${host.ip}/24 dev eth0`)
    await flanneld.ready()
    expect(publicIp(store, host)).toBe(host.ip)
  }
  {
    await using flanneld = Flanneld.launch(host, store)
    await flanneld.process.line(/no interface for traffic between hosts: there is no IPv4 default route/)
    expect(await flanneld.report()).toMatchObject(waits)
    await host.sh(`ip route add default via 192.168.100.200 dev eth0`)
    await flanneld.ready()
    const ended = await flanneld.end('SIGTERM')
    expect(ended.code).toBe(0)
  }
})

test('--iface-regex and --iface-can-reach choose among interfaces', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  await host.sh(`
    ip link add eth1 type veth peer name far1; ip link set far1 up
    ip addr add 192.0.2.7/24 dev eth1; ip addr add 192.0.2.8/24 dev eth1; ip link set eth1 up
    ip route add 203.0.113.0/24 via 192.0.2.9 src 192.0.2.8`)
  for (const [args, ip] of [
    [['--iface-regex=^WLAN', '--iface-regex=(?i)^ETH[[:digit:]]\\z'], host.ip],
    [['--iface-regex=^192\\.0\\.2\\.8'], '192.0.2.8'],
    [['--iface=wlan0', '--iface-can-reach=203.0.113.5'], '192.0.2.8'],
  ] as const) {
    await using flanneld = await Flanneld.start(host, store, { args })
    expect(publicIp(store, host)).toBe(ip)
    expect(store.leases().size).toBe(1)
    await flanneld.end('SIGTERM')
  }
})
