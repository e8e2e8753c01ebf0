// Notifications from a real kernel: what comes, what the filter keeps away, and what is said when some were lost.
import { expect, test } from 'bun:test'
import { breakMonitor } from '../../test/support/deaf.ts'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { ipv4FromNumber } from '../model/ip.ts'
import { wakeCount } from '../sys/readiness.ts'
import { putAddress, RTM_ADDRESS } from './address.ts'
import { addressesOf, compile, exceptOwn, neighboursOf, routesOf } from './filter.ts'
import { changeLink, createLink, parseLink, removeLink, RTM_LINK } from './link.ts'
import { GROUP, Monitor, type MonitorEvent } from './monitor.ts'
import { parseNeighbour, putNeighbour, RTM_NEIGHBOUR } from './neighbour.ts'
import { parseRoute } from './route-info.ts'
import { addRoute, putRoute, RTM_ROUTE } from './route.ts'

/** Long enough on the busiest machine; a test that works never waits for it. */
const soon = () => AbortSignal.timeout(20_000)

/** Two bridges, `ours` and `foreign`, that are up. */
async function host(): Promise<TestHost & { ours: number; foreign: number }> {
  const fresh = await kernel()
  for (const name of ['ours', 'foreign'])
    fresh.netlink().request(createLink({ name, up: true, kind: { type: 'bridge' } }))
  return Object.assign(fresh, { ours: fresh.index('ours'), foreign: fresh.index('foreign') })
}

const neighbours = (linkIndex: number, count: number) =>
  Array.from({ length: count }, (_, i) =>
    putNeighbour({ linkIndex, ip: ipv4FromNumber(0x0a000000 + i), mac: mac('02:00:00:00:00:01') }),
  )

const next = async (monitor: Monitor): Promise<readonly MonitorEvent[]> =>
  (await monitor.ready(soon())) ? monitor.take() : expect.unreachable('no event came')

test('a change of a link is heard', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.link], { namespace: h.namespace })
  h.netlink().request(changeLink('ours', { mtuBytes: 1234 }))
  const links = (await next(monitor)).flatMap((event) =>
    event.kind === 'message' && event.type === RTM_LINK.put ? [parseLink(event.body)] : [],
  )
  expect(links.find((link) => link.mtuBytes === 1234)?.name).toBe('ours')
})

test('what a request of ours caused can be kept away, of the types that are named', async () => {
  await using h = await host()
  const { port } = h.netlink()
  using monitor = Monitor.open([GROUP.neighbour, GROUP.ipv4Address], {
    namespace: h.namespace,
    filter: [exceptOwn([RTM_NEIGHBOUR.put], port)],
  })
  h.netlink().batch(neighbours(h.ours, 1))
  await h.sh('ip neigh replace 10.0.0.0 lladdr 02:00:00:00:00:02 dev ours nud permanent')
  h.netlink().request(putAddress({ linkIndex: h.ours, ip: ip('10.1.0.1'), length: 24 }))
  const events = monitor.take().map((event) => (event.kind === 'message' ? event.type : event.kind))
  expect(events).toEqual([RTM_NEIGHBOUR.put, RTM_ADDRESS.put])
})

test('changes made before anybody reads wait for the reader', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.link], { namespace: h.namespace })
  h.netlink().request(removeLink('foreign'))
  await Bun.sleep(20)
  const events = await next(monitor)
  expect(events.some((e) => e.kind === 'message' && e.type === RTM_LINK.remove)).toBe(true)
})

test('neighbours of foreign links neither arrive nor wake the process', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.neighbour], {
    namespace: h.namespace,
    filter: [neighboursOf([h.ours])],
  })
  await Bun.sleep(1)
  const before = wakeCount
  for (let round = 0; round < 10; round++) {
    h.netlink().batch(neighbours(h.foreign, 100 + round))
    await Bun.sleep(1)
  }
  expect(wakeCount).toBe(before)
  expect(monitor.received).toBe(0)
  h.netlink().request(putNeighbour({ linkIndex: h.ours, ip: ip('10.9.9.9'), mac: mac('02:00:00:00:00:09') }))
  const [event] = await next(monitor)
  expect(event?.kind === 'message' && parseNeighbour(event.body)).toMatchObject({ ip: ip('10.9.9.9') })
  expect(monitor.received).toBe(1)
})

test('the filter can be changed while it listens', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.neighbour], { namespace: h.namespace, filter: [neighboursOf([])] })
  h.netlink().batch(neighbours(h.ours, 5))
  monitor.setFilter([neighboursOf([1, 2, h.ours])])
  h.netlink().batch(neighbours(h.ours, 7).slice(5))
  expect(await next(monitor)).toHaveLength(2)
})

test('each rule judges its own types only', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.link, GROUP.neighbour, GROUP.ipv4Address, GROUP.ipv4Route], {
    namespace: h.namespace,
    filter: [
      { types: [RTM_LINK.put, RTM_LINK.remove], offset: 4, bytes: 4, values: [] },
      addressesOf([]),
      neighboursOf([h.ours]),
      routesOf([0x68]),
    ],
  })
  const socket = h.netlink()
  const route = { linkIndex: h.ours, to: prefix('10.2.0.0/24') }
  socket.request(changeLink('ours', { mtuBytes: 1300 }))
  socket.request(putAddress({ linkIndex: h.ours, ip: ip('10.1.0.1'), length: 24 }))
  socket.request(putRoute({ ...route, protocol: 3 }))
  socket.request(addRoute({ ...route, protocol: 0x68, metric: 7 }))
  socket.batch(neighbours(h.ours, 1))
  const seen = (await next(monitor)).map((e) => (e.kind === 'message' ? e : expect.unreachable(e.kind)))
  expect(seen.map((e) => e.type)).toEqual([RTM_ROUTE.put, RTM_NEIGHBOUR.put])
  expect(seen[0] && parseRoute(seen[0].body)).toMatchObject({ protocol: 0x68, table: 254 })
})

for (const version of [4, 6])
  test(`of foreign IPv${version} routes only those pass that replace another`, async () => {
    await using h = await host()
    using monitor = Monitor.open([GROUP.ipv4Route, GROUP.ipv6Route], {
      namespace: h.namespace,
      filter: [routesOf([0x68, 3])],
    })
    const [to, via] = version === 4 ? ['10.2.0.0/24', '10.1.0.2'] : ['fd00:2::/64', 'fd00:1::2']
    await h.sh(
      `ip addr add ${version === 4 ? '10.1.0.1/24' : 'fd00:1::1/64 nodad'} dev ours
       ip -${version} route add ${to} dev ours proto static
       ip -${version} route replace ${to} via ${via} proto bird
       ip -${version} route del ${to} proto bird
       ip -${version} route replace ${to} dev ours proto static`,
    )
    const seen = monitor
      .take()
      .map((e) => (e.kind === 'message' ? parseRoute(e.body) : undefined))
      .filter((route) => route?.to === prefix(to))
    expect(seen).toMatchObject([{ protocol: 12, via: ip(via) }])
  })

for (const version of [4, 6])
  test(`IPv${version} routes pass on links that are named, whoever's they are`, async () => {
    await using h = await host()
    using monitor = Monitor.open([GROUP.ipv4Route, GROUP.ipv6Route], {
      namespace: h.namespace,
      filter: [routesOf([0x68], [h.foreign, h.ours, 1 << 20]), addressesOf([])],
    })
    monitor.setFilter([routesOf([0x68], [1 << 20, h.ours]), addressesOf([])])
    const [one, other] = version === 4 ? ['10.2.0.0/24', '10.3.0.0/24'] : ['fd00:2::/64', 'fd00:3::/64']
    await h.sh(`
      ip -${version} route add ${one} dev foreign proto static; ip -${version} route add blackhole ${other} metric 9
      ip -${version} route add ${other} dev ours proto static; ip -${version} route del ${other} dev ours`)
    const seen = monitor.take().map((e) => {
      if (e.kind !== 'message') return e.kind
      const route = parseRoute(e.body)
      return route?.to === one || route?.to === other ? `${e.type} ${route.to} ${route.linkIndex}` : undefined
    })
    expect(seen.filter((each) => each !== undefined)).toEqual([
      `${RTM_ROUTE.put} ${other} ${h.ours}`,
      `${RTM_ROUTE.remove} ${other} ${h.ours}`,
    ])
  })

test('a receive buffer that overflows is told as an overrun, instead of what was in it, and listening goes on', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.neighbour], { namespace: h.namespace, receiveBufferBytes: 4096 })
  h.netlink().batch(neighbours(h.ours, 500))
  expect(await next(monitor)).toEqual([{ kind: 'overrun' }])
  h.netlink().request(putNeighbour({ linkIndex: h.ours, ip: ip('10.9.9.9'), mac: mac('02:00:00:00:00:09') }))
  expect(await next(monitor)).toMatchObject([{ kind: 'message', type: RTM_NEIGHBOUR.put }])
})

test('a socket that can’t be read any more is replaced, and what was lost is told as an overrun', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.neighbour], { namespace: h.namespace, filter: [neighboursOf([])] })
  monitor.setFilter([neighboursOf([h.ours])])
  using _nothing = await breakMonitor(h)
  h.netlink().batch(neighbours(h.ours, 1))
  expect(monitor.take()).toEqual([])
  expect(await next(monitor)).toEqual([{ kind: 'overrun' }])
  h.netlink().batch([...neighbours(h.foreign, 3), ...neighbours(h.ours, 2)])
  expect(await next(monitor)).toHaveLength(1)
})

test('waiting ends with the signal, and with the monitor', async () => {
  await using h = await host()
  const monitor = Monitor.open([GROUP.link], { namespace: h.namespace })
  const stop = new AbortController()
  const first = monitor.ready(stop.signal)
  stop.abort()
  expect(await first).toBe(false)
  expect(await monitor.ready(stop.signal)).toBe(false)
  const second = monitor.ready(soon())
  monitor[Symbol.dispose]()
  expect(await second).toBe(false)
})

test('one reader at a time', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.link], { namespace: h.namespace })
  const stop = new AbortController()
  const first = monitor.ready(stop.signal)
  const second: unknown = await monitor.ready(stop.signal).catch((error: unknown) => error)
  expect(second).toMatchObject({ message: 'this monitor has a reader already' })
  stop.abort()
  await first
})

test('a filter the kernel would not take is refused by its length', () => {
  expect(() => compile([neighboursOf(Array.from({ length: 3000 }, (_, i) => i))])).toThrow(
    'the kernel takes 4096',
  )
})

test('what waits is taken without waiting, however much it is', async () => {
  await using h = await host()
  using monitor = Monitor.open([GROUP.neighbour], { namespace: h.namespace })
  expect(monitor.take()).toEqual([])
  h.netlink().batch(neighbours(h.ours, 6000))
  expect(monitor.take()).toHaveLength(6000)
  expect(monitor.take()).toEqual([])
})
