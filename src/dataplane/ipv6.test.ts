// The same for IPv6: a VXLAN device over IPv6 with its /128, peers behind it, all settled and healed on the real kernel.
import { describe, expect, test } from 'bun:test'
import { type DataplaneHost, dataplaneHost, device, peer, soon } from '../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { address, fdbEntry, type KernelObject, neighbour, nexthop, route } from '../model/kernel.ts'
import type { Ownership } from './kind.ts'
import type { Reconciler } from './reconciler.ts'

const PEERS = 4
const DEVICE = 'flannel-v6.1'
const SCOPE: Ownership = {
  links: new Set([DEVICE, 'flannel.1']),
  networks: [prefix('fd00:5::/32'), prefix('10.0.0.0/8')],
  tables: new Set(),
}

const ownObjects = (): readonly KernelObject[] => [
  device({ name: DEVICE, mtuBytes: 1430, vxlan: { local: ip('fd00:1::1') } }),
  address({ link: DEVICE, ip: ip('fd00:5::'), length: 128 }),
]

/** Subnet fd00:5:0:n::/64 behind fd00:1::100+n. */
function peer6(
  n: number,
  through: 'nexthop' | 'plain',
  vtep = `02:06:00:00:00:0${n}`,
): readonly KernelObject[] {
  const base = ip(`fd00:5:0:${n}::`)
  const on = { link: DEVICE }
  return [
    neighbour({ ...on, ip: base, mac: mac(vtep) }),
    fdbEntry({ ...on, mac: mac(vtep), dst: ip(`fd00:1::10${n}`) }),
    ...(through === 'nexthop' ? [nexthop({ ...on, via: base, onLink: true })] : []),
    route({ ...on, to: prefix(`${base}/64`), via: base, onLink: true, through }),
  ]
}

async function host6(): Promise<DataplaneHost> {
  const host = await dataplaneHost()
  await host.sh(
    `sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
     ip addr add fd00:1::1/64 dev eth0 nodad`,
  )
  return host
}

/** Peers 1 and 2 through nexthop objects, 3 and 4 by plain routes. */
async function programmed(host: DataplaneHost): Promise<Reconciler> {
  const reconciler = host.reconciler({ scope: SCOPE })
  reconciler.want('device', ownObjects())
  for (let n = 1; n <= PEERS; n++) reconciler.want(`lease ${n}`, peer6(n, n <= 2 ? 'nexthop' : 'plain'))
  reconciler.complete()
  await reconciler.settled(soon())
  return reconciler
}

test('what is wanted is in the kernel once it is settled, and a restart changes nothing', async () => {
  await using host = await host6()
  {
    await using reconciler = await programmed(host)
    expect(await reconciler.drift()).toEqual([])
    expect([...reconciler.failures]).toEqual([])
  }
  expect(await host.sh(`ip -d link show ${DEVICE}`)).toMatch(/mtu 1430.*vxlan id 1 local fd00:1::1 dev eth0/s)
  expect(await host.sh(`ip -6 address show ${DEVICE}`)).toContain('fd00:5::/128')
  expect(await host.sh(`ip -6 neigh show dev ${DEVICE}`)).toContain(
    'fd00:5:0:3:: lladdr 02:06:00:00:00:03 PERMANENT',
  )
  expect(await host.sh(`bridge fdb show dev ${DEVICE}`)).toContain(
    '02:06:00:00:00:03 dst fd00:1::103 self permanent',
  )
  expect(await host.sh('ip -6 route show fd00:5:0:1::/64')).toMatch(
    /nhid \d+ via fd00:5:0:1:: dev flannel-v6.1 proto 104 .*onlink/,
  )
  expect(await host.sh('ip -6 route show fd00:5:0:4::/64')).toContain(
    'via fd00:5:0:4:: dev flannel-v6.1 proto 104',
  )
  await using again = await programmed(host)
  const { kinds } = again.report()
  expect(Object.values(kinds).reduce((sum, kind) => sum + kind.puts + kind.removes, 0)).toBe(0)
})

test('a route moves between a nexthop object and itself, a peer to another MAC, and one that left leaves nothing', async () => {
  await using host = await host6()
  await using reconciler = await programmed(host)
  reconciler.want('lease 1', peer6(1, 'plain', '02:06:00:00:00:a1'))
  reconciler.want('lease 3', peer6(3, 'nexthop'))
  reconciler.forget('lease 4')
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect([...reconciler.failures]).toEqual([])
  const state = await host.sh(`ip -6 route; ip -6 nexthop; ip -6 neigh; bridge fdb show dev ${DEVICE}`)
  expect(state).not.toMatch(/fd00:5:0:4::|00:00:00:04|00:00:00:01 /)
  expect(reconciler.report().repairs).toBe(0)
})

describe('healed:', () => {
  for (const [what, command] of [
    ['the device is deleted', `ip link del ${DEVICE}`],
    ['the device is set down', `ip link set ${DEVICE} down`],
    ['the device is set down and up', `ip link set ${DEVICE} down; ip link set ${DEVICE} up`],
    ['the device has another MAC', `ip link set ${DEVICE} address 02:00:00:00:00:99`],
    ['the address is removed', `ip addr del fd00:5::/128 dev ${DEVICE}`],
    ['a route is removed', 'ip -6 route del fd00:5:0:3::/64'],
    ['a route is replaced', `ip -6 route replace fd00:5:0:3::/64 via fd00:5:0:4:: dev ${DEVICE} onlink`],
    [
      'a route is replaced by another protocol’s',
      `ip -6 route replace fd00:5:0:3::/64 via fd00:5:0:4:: dev ${DEVICE} onlink proto static`,
    ],
    [
      'routes are flushed',
      'for to in $(ip -6 route show proto 104 | cut -d" " -f1); do ip -6 route del $to; done',
    ],
    ['nexthops are flushed', 'ip nexthop flush'],
    ['neighbours are flushed', `ip -6 neigh flush dev ${DEVICE} nud permanent`],
    [
      'an FDB entry leads elsewhere',
      `bridge fdb replace 02:06:00:00:00:03 dev ${DEVICE} self dst fd00:1::99`,
    ],
    [
      'IPv6 is switched off and on',
      `sysctl -qw net.ipv6.conf.${DEVICE.replace('.', '/')}.disable_ipv6=1 net.ipv6.conf.${DEVICE.replace('.', '/')}.disable_ipv6=0`,
    ],
  ] as const)
    test(what, async () => {
      await using host = await host6()
      await using reconciler = await programmed(host)
      host.shAtOnce(command)
      await reconciler.settled(soon())
      expect(await reconciler.drift()).toEqual([])
      expect(reconciler.report().repairs).toBeGreaterThan(0)
      expect([...reconciler.failures]).toEqual([])
    })
})

test('both families of one VNI live side by side on their own devices', async () => {
  await using host = await host6()
  await using reconciler = await programmed(host)
  reconciler.want('device ipv4', [device()])
  reconciler.want('lease ipv4', peer(1))
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect([...reconciler.failures]).toEqual([])
  host.shAtOnce('ip link del flannel.1')
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
})

test('a way to a gateway that a daemon left behind goes', async () => {
  await using host = await host6()
  {
    await using reconciler = await programmed(host)
    expect([...reconciler.failures]).toEqual([])
  }
  const before = await host.sh('ip -6 route')
  await host.sh(`ip -6 route add fd00:5:0:9::/128 dev ${DEVICE} proto 104`)
  await using reconciler = await programmed(host)
  expect(await host.sh('ip -6 route')).toBe(before)
  expect(await reconciler.drift()).toEqual([])
})

test('the underlay may have another route to where a peer’s gateway is', async () => {
  await using host = await host6()
  await host.sh('ip -6 route add fd00:5::/32 via fd00:1::99 proto static')
  await using reconciler = await programmed(host)
  expect([...reconciler.failures]).toEqual([])
  expect(await reconciler.drift()).toEqual([])
  expect(await host.sh('ip -6 route show proto 104')).not.toContain('/128')
})
