// IPv6 beside IPv4, and alone: pods reach each other by both, upstream's hosts among them; what one family lacks or
// loses never takes the other along.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host, type Pod } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore, type BackendChoice } from '../support/stores.ts'

setDefaultTimeout(60_000)

const IPV6_NETWORK = { EnableIPv6: true, IPv6Network: 'fd00:5::/48', IPv6SubnetMin: 'fd00:5:0:100::' }
const dualConfig = (backend: BackendChoice) => networkConfig(backend, IPV6_NETWORK)
const v6Config = (type: string) =>
  JSON.stringify({ EnableIPv4: false, EnableNFTables: true, ...IPV6_NETWORK, Backend: { Type: type } })

async function reachAll(pods: readonly Pod[]): Promise<void> {
  for (const from of pods)
    for (const to of pods)
      for (const ip of from === to ? [] : to.ips)
        await eventually(`${from.ip} reaches ${ip}`, async () => (await from.reaches(ip)) || undefined, 20)
}
const subnetEnv = (host: Host): string => readFileSync(host.subnetFile, 'utf8')
const withoutMtu = (text: string): string => text.replace(/^FLANNEL_MTU=.*\n/m, '')
/** The lease of that host, key and value. */
function leaseOf(store: TestStore, host: Host): readonly [string, string] {
  const own = [...store.leases()].filter(([, value]) => value.includes(`"PublicIPv6":"${host.ipv6}"`))
  const [first, ...more] = own
  if (first === undefined || more.length > 0) throw new Error(`${host.name} has ${own.length} leases`)
  return first
}
/** `flanneld --cleanup`; /var/lib is its own, so that this machine's CNI state is out of reach. */
function cleanUp(host: Host, store: TestStore): void {
  const script = 'mount -t tmpfs none /var/lib; exec "$@"'
  const enter = [`--net=${host.namespace.path}`, 'unshare', '--mount', 'sh', '-ec', script, 'sh']
  const flags = [
    `--etcd-endpoints=${store.endpoint}`,
    `--subnet-file=${host.subnetFile}`,
    `--status-socket=${host.statusSocket}`,
    `--state-dir=${host.stateDir}`,
    '--config-file=',
  ]
  const done = spawnSync('nsenter', [...enter, FLANNELD, '--cleanup', ...flags], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  expect({ status: done.status, err: done.stderr }).toEqual({ status: 0, err: '' })
}
const tablesOf = (host: Host) => host.sh('nft list tables | sort')
const refusalOf = async (flanneld: Flanneld, key: string): Promise<string | undefined> =>
  (await flanneld.report()).refused?.[key]
/** Words of this host's links, addresses and routes are there again. */
const shows = (host: Host, command: string, words: string | RegExp) =>
  eventually(`${host.name}: \`${command}\` shows ${words}`, async () => {
    const text = await host.sh(command)
    return (typeof words === 'string' ? text.includes(words) : words.test(text)) || undefined
  })

for (const backend of [{ Type: 'vxlan' }, { Type: 'vxlan', DirectRouting: true }, { Type: 'host-gw' }])
  describe(`dual stack, ${JSON.stringify(backend)}:`, () => {
    test('weak point 11: pods of upstream’s and heddle’s hosts reach each other by both families, and a host changes over in place', async () => {
      await using segment = await Segment.create(3, 'dual')
      const [one, two, three] = [segment.host(1), segment.host(2), segment.host(3)]
      await using store = await TestStore.start('etcd', segment, dualConfig(backend))
      const isTunnel = backend.Type === 'vxlan' && !backend.DirectRouting
      const args = ['--ip-masq']
      const upstream = await Flanneld.start(one, store, { make: 'upstream', args })
      await using second = Flanneld.launch(two, store, { args })
      await using third = Flanneld.launch(three, store, { args })
      await Promise.all([second.ready(), third.ready()])
      const pods = await Promise.all(segment.hosts.map((host) => host.pod()))
      expect(pods.map(({ ips }) => ips.length)).toEqual([2, 2, 2])
      await reachAll(pods)

      const [env, lease, tables] = [subnetEnv(one), leaseOf(store, one), await tablesOf(one)]
      // Of VXLAN upstream tells what IPv6 doesn't carry.
      expect(env).toContain(`FLANNEL_MTU=${backend.Type === 'vxlan' ? 1450 : 1500}\n`)
      await upstream.end('SIGTERM')
      await using after = await Flanneld.start(one, store, { args })
      await reachAll(pods)
      expect(subnetEnv(one)).toBe(env.replace('FLANNEL_MTU=1450', 'FLANNEL_MTU=1430'))
      expect(leaseOf(store, one)).toEqual([...lease])
      expect(await tablesOf(one)).toBe(tables)
      expect(tables).toContain('table ip6 flannel-ipv6')
      expect((await after.report()).refused).toEqual({})
      // Each family goes its own way, and nothing of upstream's is left.
      for (const [family, way] of [
        ['-4', isTunnel ? 'via 10.244' : 'via 192.168.100'],
        ['-6', isTunnel ? 'via fd00:5:' : 'via fd00:100:'],
      ] as const) {
        const routes = (await one.sh(`ip ${family} route | grep via | grep -v default`)).trim().split('\n')
        expect(routes.filter((route) => route.includes(way) && route.includes('proto 104')).length).toBe(2)
        expect(routes.length).toBe(2)
      }
    })
  })

for (const type of ['vxlan', 'host-gw'])
  describe(`dual stack, ${type}:`, () => {
    // Upstream's second host without IPv4 takes the first one's lease.
    test('weak point 26: without IPv4 each host has its own subnet, and pods reach each other', async () => {
      await using segment = await Segment.create(2, 'dual')
      const [one, two] = [segment.host(1), segment.host(2)]
      await using store = await TestStore.start('etcd', segment, v6Config(type))
      const upstream = await Flanneld.start(one, store, { make: 'upstream' })
      const [env, lease] = [subnetEnv(one), leaseOf(store, one)]
      await upstream.end('SIGTERM')
      await using thief = await Flanneld.start(two, store, { make: 'upstream' })
      expect([leaseOf(store, two)[0], store.leases().size]).toEqual([lease[0], 1])
      await thief.end('SIGTERM')
      store.delete(lease[0])
      await using _one = await Flanneld.start(one, store)
      const second = await Flanneld.start(two, store)
      expect(withoutMtu(subnetEnv(one))).toBe(withoutMtu(env))
      expect(leaseOf(store, one)).toEqual([...lease])
      expect(leaseOf(store, two)[0]).toStartWith(leaseKey('0.0.0.0-0&fd00:5:0:'))
      const pods = [await one.pod(), await two.pod()]
      expect(pods.map(({ ips }) => ips.length)).toEqual([1, 1])
      await reachAll(pods)
      expect(await one.sh('ip -br link')).not.toContain('flannel.1')
      await second.end('SIGTERM')
      cleanUp(two, store)
      expect([...store.leases().keys()]).toEqual([lease[0]])
    })

    // Upstream's host without IPv6 panics at a lease that has it, and follows leases no more.
    test('weak points 20 and 32: hosts get IPv6 one after the other; IPv4 works throughout, and its subnets stay', async () => {
      await using segment = await Segment.create(3, 'dual')
      const [one, two] = [segment.host(1), segment.host(2)]
      await using store = await TestStore.start('etcd', segment, networkConfig({ Type: type }))
      await using upstream = await Flanneld.start(segment.host(3), store, { make: 'upstream' })
      const first = await Flanneld.start(one, store)
      const second = await Flanneld.start(two, store)
      const pods = [await one.pod(), await two.pod()] as const
      await reachAll(pods)
      const subnets = [one.subnet, two.subnet]
      store.put(CONFIG_KEY, dualConfig({ Type: type }))
      await first.process.line(/IPv6Network is fd00:5::\/48 now.*restart flanneld/)

      await first.end('SIGTERM')
      await using first6 = await Flanneld.start(one, store)
      expect(one.subnet).toBe(subnets[0] as string)
      await reachAll(pods)
      const key = leaseKey(subnets[1] as string).replace(/.*\//, '')
      expect(await refusalOf(first6, key)).toContain('not reached by IPv6: its lease has no IPv6 subnet')
      // What it meets with there it tells at its end.
      await upstream.process.line(/fd00:100::1\b/)
      expect(await upstream.end('SIGTERM')).toMatchObject({ code: 2 })
      await upstream.process.line(/nil pointer dereference/)
      expect(second.process.running).toBe(true)

      await second.end('SIGTERM')
      await using _ = await Flanneld.start(two, store)
      expect([one.subnet, two.subnet]).toEqual(subnets)
      const news = [await one.pod(), await two.pod()]
      for (const pod of news) expect(pod.ips.length).toBe(2)
    })
  })

test('weak points 7 and 8: whatever is wrong with a peer’s IPv6, its IPv4 works and follows; what breaks in the kernel heals', async () => {
  await using segment = await Segment.create(2, 'dual')
  const [one, two] = [segment.host(1), segment.host(2)]
  await using store = await TestStore.start('etcd', segment, dualConfig({ Type: 'vxlan' }))
  await using first = await Flanneld.start(one, store)
  await using _second = await Flanneld.start(two, store)
  const pods = [await one.pod(), await two.pod()] as const
  await reachAll(pods)

  const name = '10.244.60.0-24&fd00:5:0:60::-64'
  const lease = (mac: string, v6: object) =>
    JSON.stringify({
      PublicIP: '192.168.100.60',
      PublicIPv6: 'fd00:100::60',
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: mac },
      BackendV6Data: v6,
    })
  store.put(leaseKey(name), lease('02:00:00:00:00:60', { VNI: 1, VtepMAC: 'no MAC' }))
  await shows(one, 'ip route', '10.244.60.0/24')
  expect(await refusalOf(first, name)).toMatch(/^not reached by IPv6: its VtepMAC "no MAC" is not a MAC/)
  expect(await one.sh('ip -6 route')).not.toContain('fd00:5:0:60::/64')
  // Both change at once; IPv6 is good now.
  store.put(leaseKey(name), lease('02:00:00:00:00:61', { VNI: 1, VtepMAC: '02:06:00:00:00:60' }))
  await shows(one, 'ip -6 route', 'fd00:5:0:60::/64')
  await shows(one, 'ip neigh show dev flannel.1', '10.244.60.0 lladdr 02:00:00:00:00:61')
  expect(await refusalOf(first, name)).toBeUndefined()
  // IPv6 is as it was: what changes of IPv4 is followed all the same.
  store.put(leaseKey(name), lease('02:00:00:00:00:62', { VNI: 1, VtepMAC: '02:06:00:00:00:60' }))
  await shows(one, 'ip neigh show dev flannel.1', '10.244.60.0 lladdr 02:00:00:00:00:62')

  const own = `${one.subnetValue('FLANNEL_IPV6_SUBNET').replace(/1\/64$/, '')}/128`
  for (const harm of [
    'ip link set flannel-v6.1 down; ip link set flannel-v6.1 up',
    `ip addr del ${own} dev flannel-v6.1`,
    'ip link del flannel-v6.1',
    'for to in $(ip -6 route show proto 104 | cut -d" " -f1); do ip -6 route del $to; done',
    'nft delete table ip6 flannel-ipv6',
  ]) {
    await one.sh(harm)
    await shows(one, 'ip -6 addr show dev flannel-v6.1 || true', own)
    await shows(one, 'ip -6 route', 'fd00:5:0:60::/64')
    await shows(one, 'nft list tables', 'flannel-ipv6')
    await reachAll(pods)
  }
})

test('an IPv6 address or MTU that changes is followed by devices, pods and peers; an uninstall leaves nothing', async () => {
  await using segment = await Segment.create(2, 'dual')
  const [one, two] = [segment.host(1), segment.host(2)]
  await using store = await TestStore.start('etcd', segment, dualConfig({ Type: 'vxlan' }))
  await using _ = await Flanneld.start(one, store)
  const second = await Flanneld.start(two, store)
  const pods = [await one.pod(), await two.pod()] as const
  await reachAll(pods)
  const [key, before] = leaseOf(store, two)
  await two.sh('ip addr add fd00:100::22/64 dev eth0 nodad; ip addr del fd00:100::2/64 dev eth0')
  await eventually(
    'the lease tells the new address',
    () => store.get(key) === before.replace('fd00:100::2"', 'fd00:100::22"') || undefined,
  )
  await shows(two, 'ip -d link show flannel-v6.1', /local fd00:100::22 /)
  await shows(two, 'ip -d link show flannel.1', /local 192\.168\.100\.2 /)
  await reachAll(pods)

  await two.sh('ip link set eth0 mtu 1400')
  await shows(two, 'ip link show flannel-v6.1', /mtu 1330 /)
  await shows(two, 'ip link show flannel.1', /mtu 1350 /)
  await eventually('pods are told', () => subnetEnv(two).includes('FLANNEL_MTU=1330\n') || undefined)
  // What IPv6 can't work with is said, and all stays.
  await two.sh('ip link set eth0 mtu 1340')
  await second.process.line(/an MTU of 1340 bytes .* is too small for IPv6/)
  expect(await two.sh('ip link show flannel-v6.1')).toContain('mtu 1330 ')
  await two.sh('ip link set eth0 mtu 1500')
  await shows(two, 'ip link show flannel-v6.1', /mtu 1430 /)

  await second.end('SIGTERM')
  cleanUp(two, store)
  expect(store.get(key)).toBeUndefined()
  expect(await two.sh('ip -br link; ip -6 route; nft list tables')).not.toMatch(/flannel|proto 104/)
})

// Behind NAT: upstream's device sends nothing from an address that its host hasn't got.
test('weak point 10: devices are on the interface’s addresses, whatever is published', async () => {
  await using segment = await Segment.create(1, 'dual')
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, dualConfig({ Type: 'vxlan' }))
  const args = ['--iface=eth0', '--public-ip=203.0.113.1', '--public-ipv6=2001:db8::1']
  const locals = async () =>
    (await host.sh('ip -d link show type vxlan'))
      .match(/(?<=local )\S+/g)
      ?.toSorted()
      .join(' ')
  const upstream = await Flanneld.start(host, store, { make: 'upstream', args })
  expect(await locals()).toBe('2001:db8::1 203.0.113.1')
  const leases = store.leases()
  await upstream.end('SIGTERM')
  await using _ = await Flanneld.start(host, store, { args })
  expect(await locals()).toBe('192.168.100.1 fd00:100::1')
  expect(store.leases()).toEqual(leases)
})

test('direct or not is decided for each family by itself, and again whenever its routes change', async () => {
  await using segment = await Segment.create(1, 'dual')
  const host = segment.host(1)
  await using store = await TestStore.start(
    'etcd',
    segment,
    dualConfig({ Type: 'vxlan', DirectRouting: true }),
  )
  const data = { VNI: 1, VtepMAC: '02:00:00:00:00:60' }
  store.put(
    leaseKey('10.244.60.0-24&fd00:5:0:60::-64'),
    JSON.stringify({
      PublicIP: '192.168.100.60',
      PublicIPv6: 'fd00:100::60',
      BackendType: 'vxlan',
      BackendData: data,
      BackendV6Data: data,
    }),
  )
  await using flanneld = await Flanneld.start(host, store)
  const [direct4, direct6] = ['10.244.60.0/24 via 192.168.100.60 dev eth0', 'via fd00:100::60 dev eth0']
  await shows(host, 'ip route', direct4)
  await shows(host, 'ip -6 route show fd00:5:0:60::/64', direct6)
  await host.sh('ip -6 route add fd00:100::60/128 via fd00:100::fe dev eth0')
  await shows(host, 'ip -6 route show fd00:5:0:60::/64', 'via fd00:5:0:60:: dev flannel-v6.1')
  expect(await host.sh('ip route')).toContain(direct4)
  await host.sh('ip route add 192.168.100.60/32 via 192.168.100.254; ip -6 route del fd00:100::60/128')
  await shows(host, 'ip -6 route show fd00:5:0:60::/64', direct6)
  await shows(host, 'ip route', 'via 10.244.60.0 dev flannel.1')
  expect((await flanneld.report()).failures).toEqual({})
})

for (const type of ['vxlan', 'host-gw'])
  test(`a network of ${type} that loses one family, then the other, leaves nothing of them after a restart`, async () => {
    await using segment = await Segment.create(1, 'dual')
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, dualConfig({ Type: type }))
    const args = ['--ip-masq']
    const state = () => host.sh('ip -br link; ip route; ip -6 route; nft list tables')
    const peer = { PublicIP: '192.168.100.60', PublicIPv6: 'fd00:100::60', BackendType: type }
    const data = { VNI: 1, VtepMAC: '02:00:00:00:00:60' }
    store.put(
      leaseKey('10.244.60.0-24&fd00:5:0:60::-64'),
      JSON.stringify({ ...peer, BackendData: data, BackendV6Data: data }),
    )
    const before = await Flanneld.start(host, store, { args })
    const [ipv4, ipv6] = [host.subnet, host.subnetValue('FLANNEL_IPV6_SUBNET')]
    await before.end('SIGTERM')

    store.put(CONFIG_KEY, networkConfig({ Type: type }))
    const without6 = await Flanneld.start(host, store, { args })
    expect(host.subnet).toBe(ipv4)
    expect([...store.leases().keys()]).toContain(leaseKey(ipv4))
    expect(await state()).toContain('10.244.60.0/24')
    expect(`${subnetEnv(host)}${await state()}`).not.toMatch(/IPV6|flannel-v6|flannel-ipv6|fd00:5:/)
    await without6.end('SIGTERM')

    store.put(CONFIG_KEY, dualConfig({ Type: type }))
    const both = await Flanneld.start(host, store, { args })
    expect(host.subnet).toBe(ipv4)
    expect(host.subnetValue('FLANNEL_IPV6_SUBNET')).toMatch(/^fd00:5:0:\w+::1\/64$/)
    expect(ipv6).toMatch(/^fd00:5:/)
    await both.end('SIGTERM')

    store.put(CONFIG_KEY, v6Config(type))
    await using _ = await Flanneld.start(host, store, { args })
    expect(store.leases().size).toBe(2)
    expect(await state()).toContain('fd00:5:0:60::/64')
    expect(`${subnetEnv(host)}${await state()}`).not.toMatch(/FLANNEL_SUBNET|flannel\.1|flannel-ipv4|10\.244/)
  })
