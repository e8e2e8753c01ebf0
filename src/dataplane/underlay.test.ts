// Which hosts are on link, as the kernel's routing has it, and when that changes.
import { expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, soon } from '../../test/support/dataplane.ts'
import { ip } from '../../test/support/values.ts'
import { UnderlayWatch } from './underlay.ts'

const NEAR = ip('192.168.7.7')
const FAR = ip('203.0.113.5')

test('a host is on link if its route has no gateway and leaves by that link', async () => {
  await using host = await dataplaneHost()
  await host.sh(
    `ip link add eth1 type veth peer name eth1-peer; ip link set eth1 up
     ip route add 198.51.100.0/24 via 192.168.0.254; ip route add 198.51.100.7/32 dev eth1
     ip route add blackhole 198.51.100.8/32`,
  )
  using underlay = UnderlayWatch.open(['ipv4'], host.namespace)
  expect(underlay.isOnLink(NEAR, 'eth0')).toBe(true)
  expect(underlay.isOnLink(NEAR, 'eth1')).toBe(false)
  expect(underlay.isOnLink(NEAR, 'eth9')).toBe(false)
  expect(underlay.isOnLink(ip('198.51.100.6'), 'eth0')).toBe(false)
  expect(underlay.isOnLink(ip('198.51.100.7'), 'eth1')).toBe(true)
  expect(underlay.isOnLink(ip('198.51.100.8'), 'eth0')).toBe(false)
  expect(underlay.isOnLink(ip('192.168.0.1'), 'eth0')).toBe(false)
  expect(underlay.isOnLink(FAR, 'eth0')).toBe(false)
})

const CHANGES: readonly [string, string, string, boolean][] = [
  ['a route to it appears', 'true', `ip route add ${FAR} dev eth0`, true],
  [
    'its route gets a gateway',
    `ip route add ${FAR} dev eth0`,
    `ip route replace ${FAR} via 192.168.0.9`,
    false,
  ],
  ['its link goes down, unannounced', `ip route add ${FAR} dev eth0`, 'ip link set eth0 down', false],
  ['its link is deleted', `ip route add ${FAR} dev eth0`, 'ip link del eth0', false],
  [
    'its link is made anew',
    'ip link set eth0 name old0',
    `ip link add eth0 type veth peer name p1; ip link set eth0 up; ip route add ${FAR} dev eth0`,
    true,
  ],
  [
    'its link gets its name',
    'ip link set eth0 name eth5; ip route add 203.0.113.0/24 dev eth5',
    'ip link set eth5 name eth0',
    true,
  ],
]

for (const [what, before, change, answer] of CHANGES)
  test(`the answer for a host changes when ${what}`, async () => {
    await using host = await dataplaneHost()
    await host.sh(before)
    using underlay = UnderlayWatch.open(['ipv4'], host.namespace)
    expect(underlay.isOnLink(FAR, 'eth0')).toBe(!answer)
    const changes = underlay.changes(soon())[Symbol.asyncIterator]()
    const next = changes.next()
    await host.sh(change)
    expect(await next).toEqual({ done: false, value: new Set([FAR]) })
    expect(underlay.isOnLink(FAR, 'eth0')).toBe(answer)
  })

test('hosts that are foreseen are answered for as the others, and forgotten if nobody asks', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip route add 198.51.100.0/24 via 192.168.0.254')
  const [direct, routed, none] = [ip('192.168.7.8'), ip('198.51.100.6'), ip('203.0.113.7')]
  using underlay = UnderlayWatch.open(['ipv4'], host.namespace)
  underlay.foresee([direct, routed, none, ip('fd00::7')])
  expect([NEAR, direct, routed, none].map((peer) => underlay.isOnLink(peer, 'eth0'))).toEqual([
    true,
    true,
    false,
    false,
  ])
  const changes = underlay.changes(soon())[Symbol.asyncIterator]()
  const next = changes.next()
  await host.sh(`ip route add ${none} dev eth0`)
  expect(await next).toEqual({ done: false, value: new Set([none]) })
  expect(underlay.isOnLink(none, 'eth0')).toBe(true)
})

test('a host that nobody asks about any more is forgotten', async () => {
  await using host = await dataplaneHost()
  const gone = ip('192.168.7.8')
  using underlay = UnderlayWatch.open(['ipv4'], host.namespace)
  for (const peer of [NEAR, gone]) expect(underlay.isOnLink(peer, 'eth0')).toBe(true)
  const changes = underlay.changes(soon())[Symbol.asyncIterator]()
  const first = changes.next()
  await host.sh('ip link set eth0 down')
  expect(await first).toEqual({ done: false, value: new Set([NEAR, gone]) })
  expect(underlay.isOnLink(NEAR, 'eth0')).toBe(false)
  const second = changes.next()
  await host.sh('ip link set eth0 up')
  expect(await second).toEqual({ done: false, value: new Set([NEAR]) })
  expect(underlay.isOnLink(gone, 'eth0')).toBe(true)
})

test('a link of another name is still meant, until another one has its name', async () => {
  await using host = await dataplaneHost()
  const near6 = ip('fd00:9::7')
  await host.sh(
    `echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip addr add fd00:9::1/64 dev eth0 nodad; ip link add eth1 type veth peer name eth1-peer`,
  )
  using underlay = UnderlayWatch.open(['ipv4', 'ipv6'], host.namespace)
  const answers = () => [NEAR, near6].map((peer) => underlay.isOnLink(peer, 'eth0'))
  expect(answers()).toEqual([true, true])
  const next = underlay.changes(soon())[Symbol.asyncIterator]().next()
  await host.sh('ip link set eth0 name lan0')
  expect(await Promise.race([next, setTimeout(150)])).toBe(undefined)
  expect(answers()).toEqual([true, true])
  expect(underlay.isOnLink(NEAR, 'lan0')).toBe(true)
  await host.sh('ip link set eth1 name eth0')
  expect(await next).toEqual({ done: false, value: new Set([NEAR, near6]) })
  expect(answers()).toEqual([false, false])
})

test('changes that concern no answer are not told, and neither are our own routes', async () => {
  await using host = await dataplaneHost()
  using underlay = UnderlayWatch.open(['ipv4'], host.namespace)
  underlay.isOnLink(NEAR, 'eth0')
  const stop = new AbortController()
  const told: unknown[] = []
  const listening = (async () => {
    for await (const changed of underlay.changes(stop.signal)) told.push(changed)
  })()
  await host.sh(
    'ip route add 10.9.0.0/16 via 192.168.0.9; ip route add 192.168.7.0/25 via 192.168.0.9 proto 104; ip route del 192.168.7.0/25; ip link add x0 type bridge; ip link set x0 up; ip link del x0; ip route add 192.168.0.0/17 dev eth0',
  )
  await setTimeout(120)
  stop.abort()
  await listening
  expect(told).toEqual([])
})

test('waiting for changes ends with the signal, asked or not', async () => {
  await using host = await dataplaneHost()
  using underlay = UnderlayWatch.open(['ipv4'], host.namespace)
  const stop = new AbortController()
  const waiting = underlay.changes(stop.signal).next()
  stop.abort()
  expect(await waiting).toEqual({ done: true, value: undefined })
})
