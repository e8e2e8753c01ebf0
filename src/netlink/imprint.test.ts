// Whether a dump would show the same again, on the real kernel: every noun, many datagrams, and what changes by itself.
import { describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { ADDRESS_VOLATILE, listAddresses } from './address.ts'
import { Imprint, type Volatile } from './imprint.ts'
import { listFdb, listNeighbours, NEIGHBOUR_VOLATILE } from './neighbour.ts'
import { listNexthops } from './nexthop.ts'
import { listRoutes, ROUTE_VOLATILE } from './route.ts'
import { NetlinkSocket } from './socket.ts'
import type { Message } from './wire.ts'

const MANY = 1500

/** Links v0 and vx, and `count` of everything on them. */
async function filled(host: TestHost, count: number): Promise<void> {
  await host.sh(
    `ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/8 dev v0; ip link set v0 up; ip link set v1 up
     ip addr add fd00::1/64 dev v0 nodad
     ip link add vx type vxlan id 5 dstport 4789 local 10.0.0.1; ip link set vx up`,
  )
  const lines = Array.from({ length: count }, (_, i) => {
    const [high, low] = [i >> 8, i & 255]
    const mac = `02:00:00:00:${high.toString(16).padStart(2, '0')}:${low.toString(16).padStart(2, '0')}`
    return `neigh add 10.1.${high}.${low} lladdr ${mac} dev v0 nud permanent
      neigh add fd00::1:${i.toString(16)} lladdr ${mac} dev v0 nud permanent
      nexthop add id ${i + 1} via 10.2.${high}.${low} dev v0
      route add 11.${high}.${low}.0/24 via 10.2.${high}.${low} dev v0
      route add fd01:0:0:${(i + 1).toString(16)}::/64 via fd00::2 dev v0
      address add 10.3.${high}.${low}/32 dev v0`
  })
  // An argument holds 128 KiB.
  for (let from = 0; from < lines.length; from += 200)
    await host.sh(`ip -batch - <<'END'\n${lines.slice(from, from + 200).join('\n')}\nEND`)
  await host.sh(
    `for i in $(seq 1 ${count}); do printf 'fdb add 02:01:00:00:%02x:%02x dev vx dst 10.9.9.9\\n' $((i / 256)) $((i % 256)); done | bridge -batch -`,
  )
}

const DUMPS: readonly [
  what: string,
  list: (host: TestHost) => Message,
  Volatile | undefined,
  change: string,
][] = [
  [
    'IPv4 neighbours',
    (h) => listNeighbours({ family: 'ipv4', linkIndex: h.index('v0') }),
    NEIGHBOUR_VOLATILE,
    'ip neigh replace 10.1.0.1 lladdr 02:ff:00:00:00:00 dev v0 nud permanent',
  ],
  [
    'IPv6 neighbours',
    (h) => listNeighbours({ family: 'ipv6', linkIndex: h.index('v0') }),
    NEIGHBOUR_VOLATILE,
    'ip neigh del fd00::1:1 dev v0',
  ],
  [
    'FDB entries',
    (h) => listFdb({ linkIndex: h.index('vx') }),
    NEIGHBOUR_VOLATILE,
    'bridge fdb replace 02:01:00:00:00:01 dev vx dst 10.9.9.8',
  ],
  ['nexthops', () => listNexthops(), undefined, 'ip nexthop replace id 1 via 10.2.0.9 dev v0'],
  [
    'IPv4 routes',
    () => listRoutes({ family: 'ipv4', table: 254 }),
    ROUTE_VOLATILE,
    'ip route change 11.0.1.0/24 via 10.2.0.9 dev v0',
  ],
  [
    'IPv6 routes',
    () => listRoutes({ family: 'ipv6', table: 254 }),
    ROUTE_VOLATILE,
    'ip route del fd01:0:0:1::/64',
  ],
  [
    'addresses',
    (h) => listAddresses({ linkIndex: h.index('v0') }),
    ADDRESS_VOLATILE,
    'ip addr del 10.3.0.1/32 dev v0',
  ],
]

describe('a dump repeats itself until something changes:', () => {
  for (const count of [3, MANY])
    test(`${count} of each`, async () => {
      await using host = await kernel()
      await filled(host, count)
      using socket = NetlinkSocket.open('route', host.namespace)
      const dump = (imprint: Imprint) => socket.dump(imprint.message, () => true, imprint).length
      const imprints = DUMPS.map(([, list, unstable]) => new Imprint(list(host), unstable))
      for (const imprint of imprints) expect(dump(imprint)).toBeGreaterThanOrEqual(count)
      // The first long dump of a socket has smaller datagrams; and IPv6 adds neighbours by itself while it reports groups.
      const settle = async (imprint: Imprint) => {
        for (let tries = 0; tries < 10; tries++) {
          dump(imprint)
          // Ages are told in hundredths of a second.
          await setTimeout(30)
          if (socket.repeats(imprint)) return
        }
      }
      for (const imprint of imprints) await settle(imprint)
      if (count === MANY) for (const imprint of imprints) expect(imprint.length).toBeGreaterThan(2)
      for (const [i, [what, , , change]] of DUMPS.entries()) {
        const imprint = imprints[i] ?? expect.unreachable()
        await settle(imprint)
        expect([what, socket.repeats(imprint), socket.repeats(imprint)]).toEqual([what, true, true])
        await host.sh(change)
        expect([what, socket.repeats(imprint)]).toEqual([what, false])
        // It has left nothing behind that the next one could take for its own.
        expect(dump(imprint)).toBeGreaterThanOrEqual(count - 1)
        expect([what, socket.repeats(imprint)]).toEqual([what, true])
      }
    })
})

test('an empty dump repeats itself, and one that is empty now does not', async () => {
  await using host = await kernel()
  await host.sh('ip link set lo up')
  using socket = NetlinkSocket.open('route', host.namespace)
  const imprint = new Imprint(listNexthops())
  expect(socket.repeats(imprint)).toBe(false)
  expect(socket.dump(imprint.message, () => true, imprint)).toEqual([])
  expect(socket.repeats(imprint)).toBe(true)
  await host.sh('ip nexthop add id 1 blackhole')
  expect(socket.repeats(imprint)).toBe(false)
  expect(socket.dump(imprint.message, () => true, imprint)).toEqual([true])
  await host.sh('ip nexthop flush')
  expect(socket.repeats(imprint)).toBe(false)
})

test('an error is no repetition', async () => {
  await using host = await kernel()
  await host.sh('ip link add v0 type veth peer name v1; ip link set v0 up')
  using socket = NetlinkSocket.open('route', host.namespace)
  const imprint = new Imprint(listRoutes({ family: 'ipv4', table: 254, linkIndex: host.index('v0') }))
  expect(socket.dump(imprint.message, () => true, imprint)).toEqual([])
  expect(socket.repeats(imprint)).toBe(true)
  await host.sh('ip link del v0')
  expect(socket.repeats(imprint)).toBe(false)
})
