// Routes come back with the link that they need, and those of others in their place are put right or told.
import { describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, direct, ownObjects, peer, repairsOf, soon } from '../../test/support/dataplane.ts'

test('while a link is missing, what lives on it is blocked and no failure; then it is put', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip link set eth0 name later0')
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease 1', peer(1))
  reconciler.want('lease 2', [direct(1)])
  reconciler.complete()
  await reconciler.settled(soon())
  expect([...reconciler.failures]).toEqual([])
  const { kinds } = reconciler.report()
  expect(Object.fromEntries(Object.entries(kinds).map(([kind, { blocked }]) => [kind, blocked]))).toEqual({
    link: 1,
    address: 1,
    neighbour: 1,
    fdb: 1,
    nexthop: 1,
    route: 2,
    blackhole: 0,
    sysctl: 0,
  })
  await host.sh('ip link set later0 name eth0')
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect(reconciler.report().repairs).toBe(0)
})

describe('plain routes over the underlay heal when it', () => {
  for (const [what, command] of [
    ['goes down and up', 'ip link set eth0 down; ip link set eth0 up'],
    [
      'loses its address and gets it back',
      'ip addr del 192.168.0.1/16 dev eth0; ip addr add 192.168.0.1/16 dev eth0',
    ],
    ['has its routes flushed', 'ip route flush proto 104'],
  ] as const)
    test(what, async () => {
      await using host = await dataplaneHost()
      await using reconciler = host.reconciler()
      for (let n = 1; n <= 3; n++) reconciler.want(`lease ${n}`, [direct(n)])
      reconciler.complete()
      await reconciler.settled(soon())
      host.shAtOnce(command)
      do await reconciler.settled(soon())
      while (reconciler.failures.size > 0 && (await setTimeout(20, true)))
      expect(await reconciler.drift()).toEqual([])
      expect(repairsOf(reconciler)).toEqual({ route: 3 })
    })
})

test('a link that stays down blocks its routes; they come back with it', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('lease', [direct(1)])
  await reconciler.settled(soon())
  await host.sh('ip link set eth0 down')
  await reconciler.settled(soon())
  expect((await reconciler.drift()).map(({ what }) => what)).toEqual(['missing'])
  await host.sh('ip link set eth0 up')
  do await reconciler.settled(soon())
  while (reconciler.failures.size > 0 && (await setTimeout(20, true)))
  expect(await reconciler.drift()).toEqual([])
})

describe('a route of ours that another protocol’s replaces is noticed at once:', () => {
  async function replaced(by: string) {
    await using host = await dataplaneHost()
    await using reconciler = await host.settled()
    host.shAtOnce(`ip route replace ${by}`)
    while (reconciler.report().repairs + reconciler.failures.size < 1) await setTimeout(5)
    const failures = [...reconciler.failures.values()].map(({ reason }) => reason)
    return { failures, routes: await host.sh('ip route show 10.2.1.0/24'), drift: await reconciler.drift() }
  }

  test('on our device ours is put instead of it', async () => {
    const { routes, drift, failures } = await replaced(
      '10.2.1.0/24 via 10.2.1.0 dev flannel.1 onlink proto static',
    )
    expect(routes.trim().split('\n')).toHaveLength(1)
    expect(routes).toContain('proto 104')
    expect(failures).toEqual([])
    expect(drift).toEqual([])
  })
  for (const by of [
    '10.2.1.0/24 via 192.168.0.9 proto static',
    'blackhole 10.2.1.0/24 proto static',
    '10.2.1.0/24 proto static nexthop via 192.168.0.8 nexthop via 192.168.0.9',
  ])
    test(`elsewhere it stays, and is told (${by})`, async () => {
      const { routes, failures } = await replaced(by)
      expect(routes).toContain('proto static')
      expect(failures).toHaveLength(1)
      expect(failures[0]).toContain("10.2.1.0/24 is taken by a route that is not heddle's")
    })
})
