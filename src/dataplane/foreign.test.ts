// What isn't ours is never touched; what upstream flanneld left is taken over without an interruption.
import { expect, test } from 'bun:test'
import { dataplaneHost, ownObjects, peer, soon } from '../../test/support/dataplane.ts'
import { ip, prefix } from '../../test/support/values.ts'
import { type Route, route } from '../model/kernel.ts'

const FOREIGN = `
  ip link add br0 type bridge; ip addr add 10.1.0.1/24 dev br0; ip link set br0 up
  ip link add vxlan7 address 02:00:00:00:77:77 type vxlan id 7 dstport 4789 dev eth0; ip link set vxlan7 up
  ip addr add 10.77.0.1/32 dev vxlan7
  ip neigh add 192.168.5.5 lladdr 02:00:00:00:00:55 dev eth0 nud permanent
  ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:56 dev vxlan7 nud permanent
  bridge fdb add 02:00:00:00:00:57 dev vxlan7 dst 192.168.5.5
  ip route add 10.50.0.0/16 via 192.168.5.5 proto static
  ip route add 10.51.0.0/16 via 192.168.5.5 proto bird
  ip route add 10.52.0.0/16 via 192.168.5.5 metric 50
  ip route add 10.53.0.0/16 via 192.168.5.5 table 100 proto 104
  ip route add 172.16.0.0/16 via 192.168.5.5 proto 104
  ip route add blackhole 10.54.0.0/16
  ip nexthop add id 7 via 192.168.5.5 dev eth0
  ip nexthop add id 1744830500 via 192.168.5.6 dev eth0
  ip nexthop add id 8 via 192.168.5.7 dev eth0 protocol 104
  ip route add 10.55.0.0/16 nhid 7 proto static
  nft add table ip somebody; nft add chain ip somebody c
`
// Without what the kernel finds out a little later by itself: whether links have a carrier.
const STATE =
  'ip -o link | sed "s/,*LOWER_UP//; s/NO-CARRIER,//; s/state [A-Z]*//"; ip -o address; ip -o neigh; bridge fdb; ip route show table all; ip nexthop; nft list ruleset'

test('foreign links, addresses, neighbours, FDB entries, routes, nexthops and tables are never touched', async () => {
  await using host = await dataplaneHost()
  await host.sh(FOREIGN)
  const before = await host.sh(STATE)
  {
    await using reconciler = host.reconciler()
    reconciler.want('device', ownObjects())
    for (let n = 1; n <= 3; n++) reconciler.want(`lease ${n}`, peer(n))
    reconciler.complete()
    await reconciler.settled(soon())
    reconciler.want('lease 2', peer(2, { mac: '02:00:00:00:00:57' }))
    await host.sh('ip link set flannel.1 down')
    await reconciler.settled(soon())
    // It might be one of upstream's: told, and left alone.
    expect(await reconciler.drift()).toMatchObject([
      { kind: 'blackhole', key: '10.54.0.0/16', what: 'stray' },
    ])
  }
  await using nothing = host.reconciler()
  nothing.complete()
  await nothing.settled(soon())
  expect(await host.sh(STATE)).toBe(before)
})

test('addresses on our device outside the cluster network, and routes beyond it, are somebody else’s', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.complete()
  await reconciler.settled(soon())
  await host.sh(
    'ip addr add 172.30.0.1/32 dev flannel.1; ip addr add 10.1.99.0/32 dev flannel.1; ip route add 172.31.0.0/16 dev flannel.1; ip route add 172.32.0.0/16 via 10.2.1.0 dev flannel.1 onlink',
  )
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  const addresses = await host.sh('ip -br address show flannel.1')
  expect(addresses).toContain('172.30.0.1/32')
  expect(addresses).not.toContain('10.1.99.0')
  expect(await host.sh('ip route')).toContain('172.31.0.0/16 dev flannel.1')
  expect(await host.sh('ip route')).toContain('172.32.0.0/16 via 10.2.1.0')
})

test('a foreign route in front of ours survives when ours changes', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease', peer(1))
  await reconciler.settled(soon())
  await host.sh('ip route prepend 10.2.1.0/24 via 192.168.5.5 proto static')
  reconciler.want('lease', peer(1, { through: 'plain' }))
  reconciler.complete()
  await reconciler.settled(soon())
  const routes = (await host.sh('ip route show 10.2.1.0/24')).trim().split('\n')
  expect(routes.map((line) => line.trim())).toEqual([
    '10.2.1.0/24 via 192.168.5.5 dev eth0 proto static',
    '10.2.1.0/24 via 10.2.1.0 dev flannel.1 proto 104 onlink',
  ])
})

test('a nexthop id of our range that another protocol uses is left alone', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip nexthop add id 1744830464 via 192.168.5.5 dev eth0')
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  for (let n = 1; n <= 3; n++) reconciler.want(`lease ${n}`, peer(n))
  reconciler.complete()
  await reconciler.settled(soon())
  expect(await host.sh('ip nexthop show id 1744830464')).toContain('via 192.168.5.5 dev eth0')
  expect(await reconciler.drift()).toEqual([])
})

/** As upstream's vxlan back end leaves them, for peers 1 to 3 (flannel-compat 4.1.4). */
const UPSTREAM_VXLAN = `
  ip link add flannel.1 address 02:00:00:00:00:01 mtu 1450 type vxlan id 1 dstport 8472 local 192.168.0.1 dev eth0 nolearning
  ip addr add 10.1.0.0/32 dev flannel.1; ip link set flannel.1 up
  for n in 1 2 3; do
    ip neigh replace 10.2.$n.0 lladdr 02:01:00:00:00:0$n dev flannel.1 nud permanent
    bridge fdb replace 02:01:00:00:00:0$n dev flannel.1 self dst 192.168.1.$n
    ip route replace 10.2.$n.0/24 via 10.2.$n.0 dev flannel.1 onlink
  done`

test('what upstream left of VXLAN is taken over: the device stays, each route is followed before it goes', async () => {
  await using host = await dataplaneHost()
  await host.sh(UPSTREAM_VXLAN)
  const index = host.index('flannel.1')
  await using reconciler = host.reconciler()
  using changes = host.changes()
  reconciler.want('device', ownObjects())
  for (let n = 1; n <= 2; n++) reconciler.want(`lease ${n}`, peer(n))
  await reconciler.settled(soon())
  expect(changes.take()).toEqual([
    'put nexthop',
    'put nexthop',
    'put route',
    'put route',
    'remove route',
    'remove route',
  ])
  reconciler.complete()
  await reconciler.settled(soon())
  expect(host.index('flannel.1')).toBe(index)
  expect(await reconciler.drift()).toEqual([])
  expect(await host.sh('ip route; ip neigh show dev flannel.1; bridge fdb show dev flannel.1')).not.toMatch(
    /10\.2\.3\.0|00:03/,
  )
})

const direct = (n: number, via: string): Route =>
  route({ to: prefix(`10.3.${n}.0/24`), via: ip(via), link: 'eth0', onLink: false, through: 'plain' })

test('of upstream’s host-gw routes those that equal ours are adopted; the others stay, and drift names them', async () => {
  await using host = await dataplaneHost()
  await host.sh(
    'for n in 1 2 3; do ip route add 10.3.$n.0/24 via 192.168.1.$n; done; ip route add 10.4.0.0/16 via 192.168.5.5 proto static',
  )
  await using reconciler = host.reconciler()
  reconciler.want('lease 1', [direct(1, '192.168.1.1')])
  reconciler.want('lease 2', [direct(2, '192.168.1.99')])
  reconciler.complete()
  await reconciler.settled(soon())
  expect(await host.sh('ip route show 10.3.1.0/24')).toBe('10.3.1.0/24 via 192.168.1.1 dev eth0 proto 104 \n')
  expect(await host.sh('ip route show 10.3.2.0/24')).toBe('10.3.2.0/24 via 192.168.1.2 dev eth0 \n')
  expect(await host.sh('ip route show 10.3.3.0/24')).toBe('10.3.3.0/24 via 192.168.1.3 dev eth0 \n')
  expect(await reconciler.drift()).toMatchObject([
    { kind: 'route', key: '10.3.2.0/24', what: 'missing' },
    { kind: 'route', key: '10.3.2.0/24', what: 'stray' },
    { kind: 'route', key: '10.3.3.0/24', what: 'stray' },
  ])
  expect(reconciler.failures.get('route 10.3.2.0/24')?.reason).toContain('ip route del 10.3.2.0/24')
  reconciler.forget('lease 1')
  await reconciler.settled(soon())
  expect(await host.sh('ip route show 10.3.1.0/24')).toBe('')
})

test('an upstream route that is wanted only later is adopted then', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip route add 10.3.1.0/24 via 192.168.1.1')
  await using reconciler = host.reconciler()
  reconciler.complete()
  await reconciler.settled(soon())
  reconciler.want('lease 1', [direct(1, '192.168.1.1')])
  await reconciler.settled(soon())
  expect(await host.sh('ip route show 10.3.1.0/24')).toBe('10.3.1.0/24 via 192.168.1.1 dev eth0 proto 104 \n')
  expect([...reconciler.failures]).toEqual([])
})
