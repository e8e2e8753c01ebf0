// What a host's links are connected to inside the pod network, as the kernel has it, and when that changes.
import { expect, test } from 'bun:test'
import { kernel } from '../../test/support/kernel.ts'
import { soon } from '../../test/support/dataplane.ts'
import { prefix } from '../../test/support/values.ts'
import type { Prefix } from '../model/prefix.ts'
import type { Surroundings } from '../model/surroundings.ts'
import { SurroundingsWatch } from './surroundings.ts'

const networks = [prefix('10.3.0.0/16'), prefix('fd00:3::/48')]
const inBrief = ({ connected, gateways }: Surroundings): string[] => [
  ...connected.map(({ prefix, ip, link }) => `${link} ${ip} ${prefix}`).sort(),
  ...gateways,
]

/** With a link `br0` that is up, and one, `idle`, that isn't. */
async function hostWith(own: () => readonly Prefix[] = () => []) {
  const host = await kernel()
  await host.sh(`
    for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done
    ip link add br0 type bridge; ip link set br0 up; ip link add idle type bridge; ip link add flannel.1 type bridge
  `)
  const watch = SurroundingsWatch.open({
    networks,
    own,
    links: new Set(['flannel.1']),
    namespace: host.namespace,
  })
  return { host, watch }
}

test('they are the prefixes of links that are up, in the network, neither ours nor flannel’s', async () => {
  const { host, watch } = await hostWith(() => [prefix('10.3.1.0/24')])
  await using _ = host
  using watching = watch
  expect(inBrief(watching.look())).toEqual([])
  await host.sh(`
    ip addr add 192.168.0.1/24 dev br0; ip addr add 10.3.1.1/24 dev br0; ip addr add 10.3.2.1/24 dev br0
    ip addr add 10.3.9.9/8 dev br0 noprefixroute; ip addr add fd00:3::1/64 dev br0; ip addr add fd00:4::1/64 dev br0
    ip addr add 10.3.7.7/32 dev lo; ip addr add 10.3.8.1/24 dev idle
    ip link set flannel.1 up; ip addr add 10.3.5.0/32 dev flannel.1
    ip route add 10.99.0.0/16 via 10.3.2.9; ip route add 10.98.0.0/16 via 192.168.0.9
    ip route add 10.3.77.0/24 via 10.3.2.10 proto 0x68; ip route add fd00:99::/64 via fd00:3::9
  `)
  expect(inBrief(watching.look())).toEqual([
    'br0 10.3.2.1 10.3.2.0/24',
    'br0 10.3.9.9 10.0.0.0/8',
    'br0 fd00:3::1 fd00:3::/64',
    'lo 10.3.7.7 10.3.7.7/32',
    '10.3.2.9',
    'fd00:3::9',
  ])
})

const CHANGES: readonly [what: string, before: string, change: string, after: readonly string[]][] = [
  ['an address comes', 'true', 'ip addr add 10.3.2.1/24 dev br0', ['br0 10.3.2.1 10.3.2.0/24']],
  ['of IPv6 too', 'true', 'ip addr add fd00:3::1/64 dev br0', ['br0 fd00:3::1 fd00:3::/64']],
  ['an address goes', 'ip addr add 10.3.2.1/24 dev br0', 'ip addr del 10.3.2.1/24 dev br0', []],
  ['its link goes', 'ip addr add 10.3.2.1/24 dev br0', 'ip link del br0', []],
  ['its link goes down', 'ip addr add 10.3.2.1/24 dev br0', 'ip link set br0 down', []],
  [
    'its link comes up',
    'ip addr add 10.3.2.1/24 dev idle',
    'ip link set idle up',
    ['idle 10.3.2.1 10.3.2.0/24'],
  ],
  [
    'its link gets another name',
    'ip addr add 10.3.2.1/24 dev br0; ip link set br0 down',
    'ip link set br0 name new; ip link set new up',
    ['new 10.3.2.1 10.3.2.0/24'],
  ],
  [
    'a gateway comes',
    'ip addr add 10.9.9.9/8 dev br0',
    'ip route add default via 10.3.2.254',
    ['br0 10.9.9.9 10.0.0.0/8', '10.3.2.254'],
  ],
]

for (const [what, before, change, after] of CHANGES)
  test(`they are told anew when ${what}`, async () => {
    const { host, watch } = await hostWith()
    await using _ = host
    using watching = watch
    await host.sh(before)
    watching.look()
    const end = new AbortController()
    const signal = AbortSignal.any([soon(), end.signal])
    const seen = (async () => {
      for await (const now of watching.changes(signal))
        if (JSON.stringify(inBrief(now)) === JSON.stringify(after)) return true
      return false
    })()
    await host.sh(change)
    expect(await seen).toBe(true)
    end.abort()
  })
