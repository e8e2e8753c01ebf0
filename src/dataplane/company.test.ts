// What somebody puts in the place of our objects, or beside them, so that the kernel would send elsewhere: where it
// carries our mark, or is on our device, it goes, and ours is what counts.
import { describe, expect, test } from 'bun:test'
import {
  type DataplaneHost,
  dataplaneHost,
  device,
  peer,
  ownObjects,
  soon,
} from '../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { address, fdbEntry, neighbour, nexthop, route, type KernelObject } from '../model/kernel.ts'
import type { Ownership } from './kind.ts'

const V6 = 'flannel-v6.1'
const SCOPE: Ownership = {
  links: new Set(['flannel.1', V6]),
  networks: [prefix('10.0.0.0/8'), prefix('fd00:5::/32')],
  tables: new Set(),
}

const OWN6: readonly KernelObject[] = [
  device({ name: V6, mtuBytes: 1430, vxlan: { local: ip('fd00:1::1') } }),
  address({ link: V6, ip: ip('fd00:5::'), length: 128 }),
]
const PEER6: readonly KernelObject[] = [
  neighbour({ link: V6, ip: ip('fd00:5:0:1::'), mac: mac('02:06:00:00:00:01') }),
  fdbEntry({ link: V6, mac: mac('02:06:00:00:00:01'), dst: ip('fd00:1::101') }),
  nexthop({ link: V6, via: ip('fd00:5:0:1::'), onLink: true }),
  route({
    link: V6,
    to: prefix('fd00:5:0:1::/64'),
    via: ip('fd00:5:0:1::'),
    onLink: true,
    through: 'nexthop',
  }),
]

const HARMS: readonly (readonly [string, string])[] = [
  [
    'an IPv6 route of ours behind ours',
    `ip -6 route append fd00:5:0:1::/64 via fd00:5:0:9:: dev ${V6} onlink proto 104`,
  ],
  [
    'an IPv6 route of ours before ours',
    `ip -6 route prepend fd00:5:0:1::/64 via fd00:5:0:9:: dev ${V6} onlink proto 104`,
  ],
  [
    'several ways in place of ours',
    'ip route replace 10.2.1.0/24 proto 104 nexthop via 10.2.8.0 dev flannel.1 onlink nexthop via 10.2.9.0 dev flannel.1 onlink',
  ],
  [
    'several IPv6 ways in place of ours',
    `ip -6 route replace fd00:5:0:1::/64 proto 104 nexthop via fd00:5:0:8:: dev ${V6} onlink nexthop via fd00:5:0:9:: dev ${V6} onlink`,
  ],
  [
    'a group of nexthops in place of ours',
    `ip nexthop add id 7 via 10.2.8.0 dev flannel.1 onlink; ip nexthop add id 9 group 7; ip route replace 10.2.1.0/24 nhid 9 proto 104`,
  ],
  [
    'an FDB entry to another port',
    'bridge fdb replace 02:01:00:00:00:01 dev flannel.1 self dst 192.168.1.1 port 9999',
  ],
  [
    'an FDB entry of another VNI',
    'bridge fdb replace 02:01:00:00:00:01 dev flannel.1 self dst 192.168.1.1 vni 7',
  ],
]
const STATE = 'ip route; ip -6 route; bridge fdb show dev flannel.1; ip neigh show nud permanent'

async function host2(): Promise<DataplaneHost> {
  const host = await dataplaneHost()
  await host.sh(
    `sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
     ip addr add fd00:1::1/64 dev eth0 nodad`,
  )
  return host
}

describe('goes:', () => {
  for (const [what, command] of HARMS)
    test(what, async () => {
      await using host = await host2()
      await using reconciler = host.reconciler({ scope: SCOPE })
      reconciler.want('device', [...ownObjects(), ...OWN6])
      reconciler.want('lease', [...peer(1), ...PEER6])
      reconciler.complete()
      await reconciler.settled(soon())
      const whole = await host.sh(STATE)
      host.shAtOnce(command)
      await reconciler.settled(soon())
      expect(await host.sh(STATE)).toBe(whole)
      expect(await reconciler.drift()).toEqual([])
      expect([...reconciler.failures]).toEqual([])
    })
})
