// An audit finds what nobody heard of, and where the kernel says what it said before, it looks at nothing.
import { describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { deafen } from '../../test/support/deaf.ts'
import {
  type DataplaneHost,
  dataplaneHost,
  ownObjects,
  peer,
  SCOPE,
  soon,
} from '../../test/support/dataplane.ts'
import { prefix } from '../../test/support/values.ts'
import type { NftTable } from '../model/kernel.ts'
import { GROUP, Monitor } from '../netlink/monitor.ts'
import { addRoute, PROTOCOL, removeRoute } from '../netlink/route.ts'
import type { KindReport } from './report.ts'
import type { Reconciler } from './reconciler.ts'

const PEERS = 4
const AUDIT_MS = 25
/** Links are few, and always looked at. */
const SKIPPING = ['address', 'neighbour', 'fdb', 'nexthop', 'route', 'nft-table'] as const

const MASQUERADE: NftTable = {
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

/** Peers 1 to 3 through nexthop objects, the other by a plain route. */
async function audited(host: DataplaneHost): Promise<Reconciler> {
  const scope = { ...SCOPE, tables: new Set(['ipv4 flannel-ipv4']) }
  const reconciler = host.reconciler({ scope, auditMs: AUDIT_MS })
  reconciler.want('device', ownObjects())
  reconciler.want('firewall', [MASQUERADE])
  for (let n = 1; n <= PEERS; n++)
    reconciler.want(`lease ${n}`, peer(n, { through: n < PEERS ? 'nexthop' : 'plain' }))
  reconciler.complete()
  await reconciler.settled(soon())
  return reconciler
}

const counts = (reconciler: Reconciler, what: keyof KindReport): number[] =>
  SKIPPING.map((kind) => reconciler.report().kinds[kind]?.[what] ?? NaN)

/** Until so many more audits of every kind had nothing to look at. */
async function skipped(reconciler: Reconciler, times: number): Promise<void> {
  const before = counts(reconciler, 'skips')
  while (!counts(reconciler, 'skips').every((now, i) => now >= (before[i] ?? NaN) + times))
    await setTimeout(5)
}

test('where nothing has changed, audits look at nothing', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await audited(host)
  await skipped(reconciler, 1)
  const dumps = counts(reconciler, 'dumps')
  // Ages are told in hundredths of a second.
  await skipped(reconciler, 5)
  expect(counts(reconciler, 'dumps')).toEqual(dumps)
  expect(await reconciler.drift()).toEqual([])
  expect(reconciler.report().repairs).toBe(0)
})

test('nor does a look for notifications that were lost', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await audited(host)
  await skipped(reconciler, 1)
  const before = counts(reconciler, 'dumps')
  // One as the reconciler has it, which nobody reads.
  using ear = Monitor.open([GROUP.ipv4Route], { namespace: host.namespace })
  const others = Array.from({ length: 1000 }, (_, index) => ({
    to: prefix(`198.18.${index >> 8}.${index & 255}/32`),
    linkIndex: host.index('eth0'),
    protocol: PROTOCOL.boot,
  }))
  for (let times = 0; times < 16; times++)
    for (const make of [addRoute, removeRoute]) host.netlink().batch(others.map(make))
  expect(ear.take()[0]).toEqual({ kind: 'overrun' })
  await skipped(reconciler, 3)
  expect(counts(reconciler, 'dumps')).toEqual(before)
})

describe('an audit finds, though nobody heard of it and earlier ones looked at nothing,', () => {
  for (const [what, command, repairs] of [
    ['a neighbour that is gone', 'ip neigh del 10.2.2.0 dev flannel.1', 1],
    [
      'a neighbour of another MAC',
      'ip neigh replace 10.2.2.0 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent',
      1,
    ],
    ['a neighbour too many', 'ip neigh add 10.9.9.9 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent', 1],
    ['an FDB entry that is gone', 'bridge fdb del 02:01:00:00:00:02 dev flannel.1', 1],
    [
      'an FDB entry that leads elsewhere',
      'bridge fdb replace 02:01:00:00:00:02 dev flannel.1 self dst 192.168.3.3',
      1,
    ],
    ['an FDB entry too many', 'bridge fdb add 02:00:00:00:00:99 dev flannel.1 self dst 192.168.9.9', 1],
    ['nexthops that are gone, with their routes', 'ip nexthop flush', 6],
    [
      'a nexthop that leads elsewhere',
      'id=$(ip -o nexthop | grep "via 10.2.2.0" | cut -d" " -f2); ip nexthop replace id $id via 10.2.9.9 dev flannel.1 onlink proto 104',
      // The one under its id, the one that it was, and the route.
      3,
    ],
    ['a route that is gone', 'ip route del 10.2.2.0/24', 1],
    [
      'a route by another gateway',
      'ip route change 10.2.4.0/24 via 10.2.1.0 dev flannel.1 onlink proto 104',
      1,
    ],
    ['a route too many', 'ip route add 10.9.9.0/24 via 10.2.1.0 dev flannel.1 onlink proto 104', 1],
    [
      'a route of another protocol in the place of ours',
      'ip route replace 10.2.4.0/24 via 10.2.4.0 dev flannel.1 onlink proto static',
      1,
    ],
    // Neighbours and plain routes go with it, silently.
    ['an address that is gone', 'ip addr del 10.1.0.0/32 dev flannel.1', 1 + PEERS + 1],
    ['a rule too many', 'nft insert rule ip flannel-ipv4 postrtg accept', 1],
    ['a flushed ruleset', 'nft flush ruleset', 1],
    ['the device deleted', 'ip link del flannel.1', 1 + 1 + 3 * PEERS + 3],
  ] as const)
    test(what, async () => {
      await using host = await dataplaneHost()
      await using reconciler = await audited(host)
      await skipped(reconciler, 1)
      await deafen(host)
      await deafen(host, 12)
      host.shAtOnce(command)
      while (reconciler.report().repairs < repairs) await setTimeout(5)
      await skipped(reconciler, 2)
      expect(reconciler.report().repairs).toBe(repairs)
      expect(await reconciler.drift()).toEqual([])
      expect([...reconciler.failures]).toEqual([])
    })
})

test('foreign links, neighbours and routes cost no look', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await audited(host)
  await skipped(reconciler, 1)
  const before = counts(reconciler, 'dumps')
  host.shAtOnce(
    `ip link add pod0 type veth peer name pod0-peer; ip link set pod0 up; ip link del pod0
     ip neigh add 192.168.9.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent
     ip route add 172.20.0.0/16 via 192.168.9.9 proto static`,
  )
  await skipped(reconciler, 2)
  expect(counts(reconciler, 'dumps')).toEqual(before)
})

test('after a change of our own the next audit looks, and those behind it don’t', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await audited(host)
  await skipped(reconciler, 1)
  const before = counts(reconciler, 'dumps')
  reconciler.forget('lease 2')
  await reconciler.settled(soon())
  await skipped(reconciler, 2)
  // Address and table had nothing to do with it.
  expect(counts(reconciler, 'dumps').map((now, i) => now - (before[i] ?? NaN))).toEqual([0, 1, 1, 1, 1, 0])
})

test('what is in trouble is looked at by every audit', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip route add 10.2.1.0/24 via 192.168.9.9 proto static')
  await using reconciler = await audited(host)
  expect(reconciler.failures.size).toBe(1)
  const looks = () => reconciler.report().kinds.route
  while ((looks()?.dumps ?? 0) < 4) await setTimeout(5)
  expect(looks()?.skips).toBe(0)
})

test('audits of IPv6 look at nothing, and find what nobody heard of, alike', async () => {
  await using host = await dataplaneHost()
  await host.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0')
  const scope = { ...SCOPE, networks: [...SCOPE.networks, prefix('fd00:5::/32')] }
  await using reconciler = await host.settled({ scope, auditMs: AUDIT_MS })
  const skips = () => reconciler.report().kinds.route?.skips ?? NaN
  while (skips() < 3) await setTimeout(5)
  await deafen(host)
  host.shAtOnce('ip -6 route add fd00:5:0:1::/64 via fd00:5:0:1::9 dev flannel.1 onlink proto 104')
  while (reconciler.report().repairs < 1) await setTimeout(5)
  expect(await reconciler.drift()).toEqual([])
})
