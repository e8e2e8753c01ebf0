// What isn't ours is never touched: IPv6's objects, and sorts of nexthops and routes that heddle doesn't make.
import { expect, test } from 'bun:test'
import { soon } from '../../test/support/dataplane.ts'
import { DEVICES, devices, PAIR_SCOPE, Pair, way } from '../../test/support/pair.ts'
import { blackhole } from '../model/kernel.ts'
import { prefix } from '../../test/support/values.ts'

/** Ids are of heddle's range, protocols heddle's where they may be. */
const FOREIGN = `
  ip link add br0 type bridge; ip addr add fd00:244:0:7::1/64 dev br0 nodad; ip link set br0 up
  ip link add vxlan7 address 02:00:00:00:77:77 type vxlan id 7 dstport 4789 local fd00:9::1 dev eth0
  ip link set vxlan7 up; ip addr add fd00:244:0:77::1/128 dev vxlan7 nodad
  ip neigh add fd00:9::55 lladdr 02:00:00:00:00:55 dev eth0 nud permanent
  ip neigh add fd00:244:0:77::2 lladdr 02:00:00:00:00:56 dev vxlan7 nud permanent
  bridge fdb add 02:00:00:00:00:57 dev vxlan7 dst fd00:9::55
  ip -6 route add fd00:244:0:50::/64 via fd00:9::55 proto static
  ip -6 route add fd00:244:0:51::/64 via fd00:9::55 metric 50
  ip -6 route add fd00:244:0:52::/64 via fd00:9::55 table 100 proto 104
  ip -6 route add fd00:255::/64 via fd00:9::55 proto 104
  ip -6 route add fd00:244:0:53::/64 proto bird nexthop via fd00:9::55 nexthop via fd00:9::56
  ip -6 route add unreachable fd00:244:0:54::/64
  ip -6 route add blackhole fd00:244:0:55::/64 proto static
  ip -6 route add blackhole fd00:255:1::/64 proto 104
  ip nexthop add id 1744830600 via fd00:9::61 dev eth0
  ip nexthop add id 1744830601 via fd00:9::62 dev eth0 protocol 104
  ip nexthop add id 1744830602 group 1744830600/1744830601 protocol 104
  ip nexthop add id 1744830603 blackhole protocol 104
  ip nexthop add id 1744830604 via 192.168.0.66 fdb protocol 104
  ip -6 route add fd00:244:0:56::/64 nhid 1744830602 proto static
  ip -6 route add fd00:255:2::/64 nhid 1744830601 proto 104`
// Without what the kernel finds out a little later by itself, and IPv6's own doing on links.
const STATE = `
  ip -o link | sed 's/,*LOWER_UP//; s/NO-CARRIER,//; s/state [A-Z]*//'; ip -o address | grep -v ' fe80::'
  ip neigh show nud permanent; bridge fdb | grep -v '33:33:\\|01:00:5e'; ip nexthop; ip -6 route show table 100
  ip route; ip -6 route | grep -v 'proto kernel'`

test('foreign links, addresses, neighbours, FDB entries, routes, nexthops and groups of them stay as they are', async () => {
  await using pair = await Pair.create()
  const { near } = pair
  await near.sh(FOREIGN)
  const before = await near.sh(STATE)
  for (const through of ['nexthop', 'plain'] as const) {
    await using reconciler = near.reconciler({ scope: PAIR_SCOPE })
    reconciler.want('device', [...devices(1), blackhole(prefix('fd00:244:0:1::/64'))])
    for (const by of ['direct', 'tunnel'] as const) {
      reconciler.want('lease', way(2, { by, through }))
      reconciler.complete()
      await reconciler.settled(soon())
      await near.sh(`ip link set ${DEVICES.ipv6} down; ip -6 route flush proto 104 fd00:244:0:2::/64 || true`)
      await reconciler.settled(soon())
      expect(await reconciler.drift()).toEqual([])
    }
  }
  await using nothing = near.reconciler({ scope: PAIR_SCOPE })
  nothing.complete()
  await nothing.settled(soon())
  expect(await near.sh(STATE)).toBe(before)
})
