// Members that fall silent without ending a connection: noticed within 10 s, by the hosts concerned, under traffic.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { ClusterWorld, IMPATIENT } from '../support/cluster-world.ts'
import { leaseKey } from '../support/etcd-keys.ts'
import type { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'

setDefaultTimeout(60_000)

const NOTICED_WITHIN_SECONDS = 10
const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** h1 goes on with another member, in time, though nobody has told it. */
async function hasLeft(world: ClusterWorld, act: () => Promise<void>): Promise<void> {
  const host = world.host(1)
  const before = await world.cluster.connectedTo(host)
  expect(before.length).toBe(1)
  await act()
  await eventually(
    'h1 has gone to another member',
    async () => {
      const now = await world.cluster.connectedTo(host)
      return (now.length > 0 && !now.some((member) => before.includes(member))) || undefined
    },
    NOTICED_WITHIN_SECONDS,
  )
}

/** Its status tells so, in time, and it stays ready. */
async function inTrouble(daemon: Flanneld): Promise<void> {
  await eventually(
    `${daemon.host.name} tells of its trouble`,
    async () => {
      const { ready, store } = await daemon.report()
      expect(ready).toBe(true)
      return Object.keys(store?.troubles ?? {}).length > 0 || undefined
    },
    NOTICED_WITHIN_SECONDS,
  )
}

// Mostly waiting, so all at once.
describe.concurrent('silence:', () => {
  test('a frozen member, its disk gone as it were', async () => {
    await using world = await ClusterWorld.start({ hosts: 2, args: IMPATIENT })
    const member = await world.memberOf(1)
    const peer = world.peer()
    await world.undisturbed(
      () =>
        hasLeft(world, async () => {
          member.freeze()
          await world.cluster.leader()
          world.cluster.put(peer.key, peer.value)
        }),
      { writes: true },
    )
    await world.undisturbed(async () => member.thaw())
    await world.hears()
  })

  test('a line to one member that breaks', async () => {
    await using world = await ClusterWorld.start({ hosts: 2, args: IMPATIENT })
    const { cluster } = world
    const member = await world.memberOf(1)
    const peer = world.peer()
    await world.undisturbed(
      () =>
        hasLeft(world, async () => {
          await cluster.cut(world.host(1), member)
          cluster.put(peer.key, peer.value)
        }),
      { writes: true },
    )
    await world.undisturbed(() => cluster.mend(world.host(1), member))
    await world.hears()
  })

  test('all lines of one host: it keeps its peers, says so, and catches up', async () => {
    await using world = await ClusterWorld.start({ hosts: 2, args: IMPATIENT })
    const { cluster } = world
    const gone = world.peer()
    cluster.put(gone.key, gone.value)
    await world.agreed()
    const host = world.host(1)
    await cluster.cut(host)
    const came = world.peer()
    await world.undisturbed(
      async () => {
        await inTrouble(world.daemon(1))
        cluster.delete(gone.key)
        cluster.put(came.key, came.value)
        await pause(0.5)
        expect(await host.sh('ip route')).toContain(gone.subnet)
        await cluster.mend(host)
      },
      { writes: true },
    )
    await world.hears()
  })

  test('longer than a lease lives: it runs out, and each host goes on with its own subnet', async () => {
    await using world = await ClusterWorld.start({ hosts: 2 })
    const { cluster } = world
    const ttlSeconds = 3
    const hosts = world.segment.hosts
    const keys = hosts.map(({ subnet }) => leaseKey(subnet))
    // A day is too long for a test: an etcd lease of seconds in its place, which the host renews from then on.
    for (const key of keys) cluster.put(key, cluster.get(key) ?? '', cluster.grant(ttlSeconds))
    await pause(ttlSeconds + 1)
    await world.agreed()
    const values = keys.map((key) => cluster.get(key))
    await world.undisturbed(async () => {
      for (const host of hosts) await cluster.cut(host)
      await eventually('all have run out', () => cluster.leases().size === 0 || undefined)
      for (const daemon of world.daemons) await inTrouble(daemon)
      // One comes back well before the other.
      for (const [index, host] of hosts.entries()) {
        await cluster.mend(host)
        const key = keys[index] ?? ''
        await eventually(`${key} is back`, () => cluster.get(key) === values[index] || undefined)
        await pause(1)
      }
    })
    expect(cluster.leases().size).toBe(2)
    await world.hears()
  })
})
