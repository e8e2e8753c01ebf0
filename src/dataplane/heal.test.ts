// What others do to our objects is undone, and counted by kind; cascades that the kernel doesn't announce included.
import { describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import {
  type DataplaneHost,
  dataplaneHost,
  device,
  direct,
  ownObjects,
  peer,
  repairsOf,
  SCOPE,
  soon,
} from '../../test/support/dataplane.ts'
import type { NftTable } from '../model/kernel.ts'
import { mac } from '../../test/support/values.ts'
import type { Reconciler } from './reconciler.ts'

const PEERS = 5
const PLAIN = 2

/** Peers 1 to 3 through nexthop objects, the others by plain routes. */
async function programmed(host: DataplaneHost): Promise<Reconciler> {
  const reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  for (let n = 1; n <= PEERS; n++)
    reconciler.want(`lease ${n}`, peer(n, { through: n <= PEERS - PLAIN ? 'nexthop' : 'plain' }))
  reconciler.complete()
  await reconciler.settled(soon())
  return reconciler
}

const all = { address: 1, neighbour: PEERS, fdb: PEERS, nexthop: PEERS - PLAIN, route: PEERS }
const { fdb: _, address: __, ...withoutFdbAndAddress } = all

const DISASTERS: readonly [string, string, Readonly<Record<string, number>>][] = [
  ['the device is deleted', 'ip link del flannel.1', { link: 1, ...all }],
  [
    'the device is deleted, and somebody makes one of the same name',
    'ip link del flannel.1; ip link add flannel.1 type vxlan id 77 dstport 4789 dev eth0',
    { link: 1, ...all },
  ],
  ['the device is set down', 'ip link set flannel.1 down', { link: 1, ...withoutFdbAndAddress }],
  [
    'the device is set down and up again',
    'ip link set flannel.1 down; ip link set flannel.1 up',
    withoutFdbAndAddress,
  ],
  [
    'the device has another MAC',
    'ip link set flannel.1 address 02:00:00:00:00:99',
    { link: 1, neighbour: PEERS },
  ],
  ['the device has another MTU', 'ip link set flannel.1 mtu 1300', { link: 1 }],
  ['the device has another name', 'ip link set flannel.1 name lost0', { link: 1 }],
  ['the device learns', 'ip link set flannel.1 type vxlan learning', { link: 1 }],
  [
    'the address is removed',
    'ip address del 10.1.0.0/32 dev flannel.1',
    { address: 1, neighbour: PEERS, route: PLAIN },
  ],
  [
    'routes are flushed',
    'ip route flush proto 104 || true; for r in $(ip route show proto 104 | cut -d" " -f1); do ip route del $r; done',
    { route: PEERS },
  ],
  [
    'a route is replaced by another',
    'ip route replace 10.2.5.0/24 via 10.2.4.0 dev flannel.1 onlink',
    { route: 1 },
  ],
  [
    'a route gets a source address',
    'ip route change 10.2.5.0/24 via 10.2.5.0 dev flannel.1 onlink src 192.168.0.1 proto 104',
    { route: 1 },
  ],
  ['neighbours are flushed', 'ip neigh flush dev flannel.1 nud permanent', { neighbour: PEERS }],
  [
    'a neighbour has another MAC',
    'ip neigh replace 10.2.5.0 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent',
    { neighbour: 1 },
  ],
  [
    'a neighbour is no longer permanent',
    'ip neigh replace 10.2.5.0 lladdr 02:01:00:00:00:05 dev flannel.1 nud stale',
    { neighbour: 1 },
  ],
  [
    'FDB entries are flushed',
    'bridge fdb show dev flannel.1 | while read mac rest; do bridge fdb del $mac dev flannel.1; done',
    { fdb: PEERS },
  ],
  [
    'an FDB entry leads elsewhere',
    'bridge fdb replace 02:01:00:00:00:05 dev flannel.1 self dst 192.168.3.3',
    { fdb: 1 },
  ],
  [
    'somebody floods unknown destinations to two hosts',
    'bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 192.168.3.3; bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 192.168.3.4',
    { fdb: 2 },
  ],
  [
    'nexthops are flushed, and take routes along unannounced',
    'ip nexthop flush',
    { nexthop: PEERS - PLAIN, route: PEERS - PLAIN },
  ],
  [
    'somebody adds a neighbour on our device',
    'ip neigh add 10.9.9.9 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent',
    { neighbour: 1 },
  ],
  [
    'somebody adds an FDB entry on our device',
    'bridge fdb add 02:00:00:00:00:99 dev flannel.1 self dst 192.168.9.9',
    { fdb: 1 },
  ],
  [
    'the underlay link is deleted and made anew',
    'ip link del eth0; ip link add eth0 type veth peer name eth0-peer; ip addr add 192.168.0.1/16 dev eth0; ip link set eth0 up; ip link set eth0-peer up',
    { link: 1, ...all },
  ],
  ['the underlay link is renamed and back', 'ip link set eth0 name eth9; ip link set eth9 name eth0', {}],
]

describe('weak point 4: healed and counted:', () => {
  for (const [what, command, repairs] of DISASTERS)
    test(what, async () => {
      await using host = await dataplaneHost()
      await using reconciler = await programmed(host)
      host.shAtOnce(command)
      await reconciler.settled(soon())
      expect(await reconciler.drift()).toEqual([])
      expect(repairsOf(reconciler)).toEqual(repairs)
      expect([...reconciler.failures]).toEqual([])
    })
})

describe('heals come by themselves, nobody has to ask, when', () => {
  for (const [what, command, repairs] of [
    ['the device is deleted', 'ip link del flannel.1', 1 + 1 + 3 * PEERS + PEERS - PLAIN],
    ['a route is deleted', 'ip route del 10.2.5.0/24', 1],
    ['the underlay link goes down and up', 'ip link set eth0 down; ip link set eth0 up', 1],
    [
      'the underlay link loses its address for a moment',
      'ip addr del 192.168.0.1/16 dev eth0; ip addr add 192.168.0.1/16 dev eth0',
      1,
    ],
  ] as const)
    test(what, async () => {
      await using host = await dataplaneHost()
      await using reconciler = await programmed(host)
      reconciler.want('direct', [direct(1)])
      await reconciler.settled(soon())
      host.shAtOnce(command)
      while (reconciler.report().repairs < repairs) await setTimeout(5)
      expect(await reconciler.drift()).toEqual([])
    })
})

test('without a device of ours, too', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('lease', [direct(1)])
  await reconciler.settled(soon())
  host.shAtOnce('ip link set eth0 down; ip link set eth0 up')
  while (reconciler.report().repairs < 1) await setTimeout(5)
  expect(await reconciler.drift()).toEqual([])
})

test('on a link that nobody has had to touch since the start, too', async () => {
  await using host = await dataplaneHost()
  const wish = async () => {
    const reconciler = host.reconciler()
    reconciler.want('lease', [direct(1)])
    reconciler.complete()
    await reconciler.settled(soon())
    return reconciler
  }
  await (await wish())[Symbol.asyncDispose]()
  await using reconciler = await wish()
  expect(reconciler.report().kinds.route?.puts).toBe(0)
  host.shAtOnce('ip link set eth0 down; ip link set eth0 up')
  while (reconciler.report().repairs < 1) await setTimeout(5)
  expect(await reconciler.drift()).toEqual([])
})

test('what follows from a change of our own is no repair', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await programmed(host)
  reconciler.want('device', ownObjects(device({ mac: mac('02:00:00:00:00:44') })))
  await reconciler.settled(soon())
  const changed = device({ mac: mac('02:00:00:00:00:55'), vxlan: { gbp: true } })
  reconciler.want('device', ownObjects(changed))
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  reconciler.want('device', ownObjects(device({ ...changed, vxlan: { gbp: true, learning: true } })))
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect(repairsOf(reconciler)).toEqual({})
})

test('a change of our device that costs neighbours has just those looked at again', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await programmed(host)
  const dumps = () =>
    Object.fromEntries(Object.entries(reconciler.report().kinds).map(([kind, { dumps }]) => [kind, dumps]))
  const before = dumps()
  reconciler.want('device', ownObjects(device({ mac: mac('02:00:00:00:00:55') })))
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect(dumps()).toEqual({ ...before, neighbour: (before['neighbour'] ?? NaN) + 1 })
})

test('a flushed nf_tables ruleset and a rule too many are healed; tables of others stay', async () => {
  await using host = await dataplaneHost()
  const key = 'ipv4 flannel-ipv4'
  await using reconciler = host.reconciler({ scope: { ...SCOPE, tables: new Set([key]) } })
  const masquerade: NftTable = {
    kind: 'nft-table',
    family: 'ipv4',
    name: 'flannel-ipv4',
    chains: [
      {
        name: 'postrtg',
        hook: { type: 'nat', at: 'postrouting', priority: 100 },
        rules: [{ matches: [], verdict: { verdict: 'masquerade', fullyRandom: true } }],
      },
    ],
  }
  reconciler.want('firewall', [masquerade])
  reconciler.complete()
  await reconciler.settled(soon())
  for (const [repairs, command] of [
    [1, 'nft flush ruleset; nft add table ip somebody'],
    [2, 'nft add rule ip flannel-ipv4 postrtg accept'],
    [3, 'nft add chain ip flannel-ipv4 more'],
  ] as const) {
    host.shAtOnce(command)
    await reconciler.settled(soon())
    expect(await reconciler.drift()).toEqual([])
    expect(repairsOf(reconciler)).toEqual({ 'nft-table': repairs })
  }
  reconciler.forget('firewall')
  await reconciler.settled(soon())
  expect(await host.sh('nft list tables')).toBe('table ip somebody\n')
})
