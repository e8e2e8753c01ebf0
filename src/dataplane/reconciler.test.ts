// The rules of the reconciler, on the real kernel: rounds, the gate, restarts, one lease among many, foreign objects.
import { expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, device, ownObjects, peer, soon } from '../../test/support/dataplane.ts'
import { eventually } from '../../test/support/process.ts'
import { ip } from '../../test/support/values.ts'
import { address } from '../model/kernel.ts'
import type { Report } from './report.ts'

const PEERS = 300

const sum = (report: Report, count: 'puts' | 'removes' | 'repairs' | 'dumps'): number =>
  Object.values(report.kinds).reduce((total, kind) => total + kind[count], 0)

test('what is wanted is in the kernel once it is settled', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease 7', peer(7))
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect([...reconciler.failures]).toEqual([])
  expect(await host.sh('ip neigh show dev flannel.1')).toContain(
    '10.2.7.0 lladdr 02:01:00:00:00:07 PERMANENT',
  )
  expect(await host.sh('bridge fdb show dev flannel.1')).toContain(
    '02:01:00:00:00:07 dst 192.168.1.7 self permanent',
  )
  expect(await host.sh('ip route show 10.2.7.0/24')).toMatch(
    /nhid \d+ via 10.2.7.0 dev flannel.1 proto 104 onlink/,
  )
  expect(await host.sh('ip -d link show flannel.1')).toMatch(
    /mtu 1450.*vxlan id 1 local 192.168.0.1 dev eth0 .*dstport 8472 nolearning/s,
  )
  expect(await host.sh('ip -br address show flannel.1')).toContain('10.1.0.0/32')
})

test('a round is all puts in order, then the removals backwards: nothing goes before its successor is in', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  using changes = host.changes()
  reconciler.forget('lease')
  reconciler.want('lease of another', peer(2))
  await reconciler.settled(soon())
  // A removed neighbour is announced twice, first as failed; FDB entries are neighbours too.
  expect(changes.take()).toEqual([
    'put neighbour',
    'put neighbour',
    'put nexthop',
    'put route',
    'remove route',
    'remove nexthop',
    'remove neighbour',
    'put neighbour',
    'remove neighbour',
  ])
})

test('weak point 19: a change of one lease among many touches its objects only, and reads nothing', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  for (let n = 1; n <= PEERS; n++) reconciler.want(`lease ${n}`, peer(n))
  reconciler.complete()
  await reconciler.settled(soon())
  const before = reconciler.report()
  reconciler.want('lease 5', peer(5, { mac: '02:aa:00:00:00:05', dst: '192.168.99.5' }))
  await reconciler.settled(soon())
  const after = reconciler.report()
  // The neighbour and the new FDB entry, then the old one.
  expect(sum(after, 'puts') - sum(before, 'puts')).toBe(2)
  expect(sum(after, 'removes') - sum(before, 'removes')).toBe(1)
  expect(sum(after, 'dumps')).toBe(sum(before, 'dumps'))
  expect(await reconciler.drift()).toEqual([])
  expect(await host.sh('bridge fdb show dev flannel.1')).not.toContain('02:01:00:00:00:05')
})

test('our own notifications cause no change, no dump and no repair', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.complete()
  await reconciler.settled(soon())
  const before = reconciler.report()
  for (let n = 1; n <= PEERS; n++) reconciler.want(`lease ${n}`, peer(n))
  await reconciler.settled(soon())
  for (let n = 1; n <= PEERS; n++) reconciler.want(`lease ${n}`, peer(n, { mac: macOf(n) }))
  await reconciler.settled(soon())
  for (let n = 1; n <= PEERS; n++) reconciler.forget(`lease ${n}`)
  await reconciler.settled(soon())
  using changes = host.changes()
  await reconciler.settled(soon())
  const after = reconciler.report()
  expect(sum(after, 'dumps')).toBe(sum(before, 'dumps'))
  expect(sum(after, 'repairs')).toBe(0)
  expect(changes.take()).toEqual([])
  expect(await reconciler.drift()).toEqual([])
})

const macOf = (n: number): string =>
  `02:bb:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`

test('a restart with nothing to do sends no change to the kernel', async () => {
  await using host = await dataplaneHost()
  const wants = (reconciler: ReturnType<typeof host.reconciler>) => {
    reconciler.want('device', ownObjects())
    for (let n = 1; n <= 20; n++)
      reconciler.want(`lease ${n}`, peer(n, { through: n % 2 === 0 ? 'plain' : 'nexthop' }))
    reconciler.complete()
  }
  {
    await using first = host.reconciler()
    wants(first)
    await first.settled(soon())
  }
  using changes = host.changes()
  await using second = host.reconciler()
  wants(second)
  await second.settled(soon())
  expect(await second.drift()).toEqual([])
  expect(changes.take()).toEqual([])
  expect(sum(second.report(), 'puts') + sum(second.report(), 'removes')).toBe(0)
})

test('a restart in steps sends no change either: first the device, much later the peers', async () => {
  await using host = await dataplaneHost()
  {
    await using first = host.reconciler()
    first.want('device', ownObjects())
    first.want('lease', peer(1))
    await first.settled(soon())
  }
  using changes = host.changes()
  await using second = host.reconciler()
  second.want('device', [device()])
  await second.settled(soon())
  second.want('device', ownObjects())
  await second.settled(soon())
  second.want('lease', peer(1))
  second.complete()
  await second.settled(soon())
  expect(changes.take()).toEqual([])
})

test('disposal leaves the kernel as it is', async () => {
  await using host = await dataplaneHost()
  const reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease', peer(1))
  reconciler.complete()
  await reconciler.settled(soon())
  using changes = host.changes()
  await reconciler[Symbol.asyncDispose]()
  expect(changes.take()).toEqual([])
})

test('before all that is wanted is known nothing is removed; then what dead peers left behind is', async () => {
  await using host = await dataplaneHost()
  {
    await using first = host.reconciler()
    first.want('device', ownObjects())
    for (let n = 1; n <= 4; n++) first.want(`lease ${n}`, peer(n, { through: n === 2 ? 'plain' : 'nexthop' }))
    await first.settled(soon())
  }
  await using second = host.reconciler()
  using changes = host.changes()
  second.want('device', ownObjects())
  second.want('lease 1', peer(1))
  second.forget('lease 1')
  second.want('lease 1', peer(1))
  await second.settled(soon())
  expect(changes.take()).toEqual([])
  expect((await second.drift()).map(({ what }) => what)).toContain('unwanted')
  second.complete()
  await second.settled(soon())
  expect(await second.drift()).toEqual([])
  expect((await host.sh('ip route show proto 104')).trim().split('\n')).toHaveLength(1)
  expect((await host.sh('ip nexthop show')).trim().split('\n')).toHaveLength(1)
  expect((await host.sh('ip neigh show dev flannel.1')).trim().split('\n')).toHaveLength(1)
  expect((await host.sh('bridge fdb show dev flannel.1')).trim().split('\n')).toHaveLength(1)
})

test('a reconciler that wants nothing removes all that is ours and nothing else', async () => {
  await using host = await dataplaneHost()
  const state = () => host.sh('ip -br link; ip -br address; ip route; ip nexthop')
  const before = await state()
  {
    await using first = host.reconciler()
    first.want('device', ownObjects())
    for (let n = 1; n <= 4; n++) first.want(`lease ${n}`, peer(n))
    await first.settled(soon())
  }
  await using nothing = host.reconciler()
  nothing.complete()
  await nothing.settled(soon())
  expect(await state()).toBe(before)
})

test('a failing object blocks no other, is tried again, and says why', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip route add 10.2.5.0/24 via 192.168.0.9 proto static')
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  for (let n = 4; n <= 6; n++) reconciler.want(`lease ${n}`, peer(n))
  await reconciler.settled(soon())
  const failure = reconciler.failures.get('route 10.2.5.0/24')
  expect(failure?.reason).toBe(
    "10.2.5.0/24 is taken by a route that is not heddle's (unicast via 192.168.0.9 dev eth0, protocol 4); if it is a leftover, remove it: ip route del 10.2.5.0/24",
  )
  expect(failure?.source).toBe('lease 5')
  expect(failure?.nextTry).toBeInstanceOf(Date)
  expect(await reconciler.drift()).toMatchObject([{ kind: 'route', key: '10.2.5.0/24', what: 'missing' }])
  await host.sh('ip route del 10.2.5.0/24')
  while (reconciler.failures.size > 0) {
    await setTimeout(20)
    await reconciler.settled(soon())
  }
  expect(await reconciler.drift()).toEqual([])
})

test('waits end with their signal, and with the reconciler', async () => {
  await using host = await dataplaneHost()
  const reconciler = host.reconciler()
  const reason = (signal: AbortSignal) =>
    reconciler.settled(signal).then(
      () => 'settled',
      (error: unknown) => String(error),
    )
  expect(await reason(AbortSignal.abort(new Error('enough')))).toBe('Error: enough')
  await reconciler.settled(soon())
  await reconciler[Symbol.asyncDispose]()
  expect(await reason(soon())).toBe('Error: the reconciler is closed')
})

test('what is wanted, there and repaired is counted by kind, and drift shows both sides', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  expect(reconciler.report().kinds.link).toMatchObject({ wanted: 1, actual: 1, programmed: 1 })
  reconciler.want('lease 2', [address({ link: 'flannel.9', ip: ip('10.9.9.9'), length: 32 })])
  await reconciler.settled(soon())
  expect(reconciler.report().kinds.address).toMatchObject({ wanted: 2, actual: 1, programmed: 1 })
  expect(await reconciler.drift()).toMatchObject([
    { kind: 'address', what: 'missing', source: 'lease 2', want: { link: 'flannel.9' } },
  ])
  await host.sh('ip link set flannel.1 mtu 1400')
  await eventually('it is repaired', () => (reconciler.repairs.length > 0 ? true : undefined))
  expect(reconciler.repairs).toMatchObject([{ kind: 'link', key: 'flannel.1', number: 1 }])
  expect(reconciler.fights).toEqual([])
  host.shAtOnce('ip link set flannel.1 mtu 1400')
  expect(await reconciler.drift()).toMatchObject([
    { kind: 'link', what: 'different', source: 'device', want: { mtuBytes: 1450 }, have: { mtuBytes: 1400 } },
    { kind: 'address', what: 'missing' },
  ])
})
