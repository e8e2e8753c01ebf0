// Two sources, one key: equal wishes are one and counted; of unequal ones the kernel's stays, else the oldest lease's.
import { expect, test } from 'bun:test'
import { dataplaneHost, ownObjects, peer, soon } from '../../test/support/dataplane.ts'
import { logLines } from '../../test/support/log.ts'
import { ip, prefix } from '../../test/support/values.ts'
import { nexthop, route } from '../model/kernel.ts'

const SAME_MAC = '02:00:00:00:0a:0a'

test('of two peers with one MAC the one in the kernel stays; the other is a failure with a reason', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.complete()
  reconciler.want('lease 2', peer(2, { mac: SAME_MAC }), 20n)
  await reconciler.settled(soon())
  // Older, but late.
  reconciler.want('lease 1', peer(1, { mac: SAME_MAC }), 10n)
  await reconciler.settled(soon())
  const fdb = () => host.sh('bridge fdb show dev flannel.1')
  expect(await fdb()).toBe(`${SAME_MAC} dst 192.168.1.2 self permanent\n`)
  const failure = reconciler.failures.get(`fdb flannel.1|${SAME_MAC} (lease 1)`)
  expect(failure?.reason).toContain('lease 2 has it already')
  expect(failure?.nextTry).toBeUndefined()
  expect(reconciler.report().kinds.fdb?.failing).toBe(1)
  // When the winner leaves the other one's wish comes true.
  reconciler.forget('lease 2')
  await reconciler.settled(soon())
  expect(await fdb()).toBe(`${SAME_MAC} dst 192.168.1.1 self permanent\n`)
  expect([...reconciler.failures]).toEqual([])
  expect(await reconciler.drift()).toEqual([])
})

test('with neither in the kernel the oldest lease wins', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('lease 3', peer(3, { mac: SAME_MAC }), 30n)
  reconciler.want('lease 1', peer(1, { mac: SAME_MAC }), 10n)
  reconciler.want('lease 2', peer(2, { mac: SAME_MAC }), 20n)
  reconciler.want('device', ownObjects())
  await reconciler.settled(soon())
  expect(await host.sh('bridge fdb show dev flannel.1')).toContain('dst 192.168.1.1 ')
  expect([...reconciler.failures.values()].map(({ source }) => source).sort()).toEqual(['lease 2', 'lease 3'])
})

test('a shared nexthop stays until nobody wants it', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  const via = ip('192.168.2.1')
  const shared = (n: number) => [
    nexthop({ via, link: 'eth0', onLink: true }),
    route({ to: prefix(`10.3.${n}.0/24`), via, link: 'eth0', onLink: true, through: 'nexthop' }),
  ]
  reconciler.want('lease 1', shared(1))
  reconciler.want('lease 2', shared(2))
  reconciler.complete()
  await reconciler.settled(soon())
  expect((await host.sh('ip nexthop')).trim().split('\n')).toHaveLength(1)
  using changes = host.changes()
  reconciler.forget('lease 1')
  await reconciler.settled(soon())
  expect(changes.take()).toEqual(['remove route'])
  expect(await reconciler.drift()).toEqual([])
  reconciler.forget('lease 2')
  await reconciler.settled(soon())
  expect(changes.take()).toEqual(['remove route', 'remove nexthop'])
})

test('a source that wants the same again changes nothing', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  using changes = host.changes()
  reconciler.want('device', ownObjects())
  reconciler.want('lease', peer(1))
  reconciler.want('another', peer(1))
  reconciler.forget('another')
  await reconciler.settled(soon())
  expect(changes.take()).toEqual([])
})

test('a wish that loses against another is told once in the log', async () => {
  await using host = await dataplaneHost()
  using log = logLines()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease 201', peer(201, { mac: SAME_MAC }), 10n)
  reconciler.want('lease 202', peer(202, { mac: SAME_MAC }), 20n)
  await reconciler.settled(soon())
  reconciler.want('lease 203', peer(203, { mac: SAME_MAC }), 30n)
  await reconciler.settled(soon())
  await reconciler.settled(soon())
  const told = log.lines.filter((line) => line.includes('has it already'))
  expect(told.map((line) => /\(lease (\d+)\): lease (\d+) has it already/.exec(line)?.slice(1))).toEqual([
    ['202', '201'],
    ['203', '201'],
  ])
})
