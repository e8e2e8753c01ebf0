// What befalls members of an etcd cluster, and the lines to them, under traffic: no packet is lost, no kernel is written
// to, and events go on.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { ClusterWorld, IMPATIENT } from '../support/cluster-world.ts'
import { ETCD_VERSIONS } from '../support/etcd-member.ts'
import { eventually } from '../support/process.ts'

setDefaultTimeout(60_000)

const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

describe('an etcd cluster, 3.6 and 3.4 side by side:', () => {
  let worlds: readonly ClusterWorld[]
  beforeAll(async () => {
    worlds = await Promise.all(
      ETCD_VERSIONS.map((version) => ClusterWorld.start({ version, args: IMPATIENT })),
    )
  })
  afterAll(() => Promise.all(worlds.map((world) => world[Symbol.asyncDispose]())))

  /** The same befalls both at once: most of it is waiting. */
  const inBoth = (what: string, scenario: (world: ClusterWorld) => Promise<void>) =>
    test(what, async () => {
      const ends = await Promise.allSettled(worlds.map(scenario))
      for (const [index, end] of ends.entries())
        if (end.status === 'rejected')
          throw new Error(`etcd ${ETCD_VERSIONS[index]}: ${String(end.reason)}`, { cause: end.reason })
    })

  inBoth('the leader is killed, and comes back', async (world) => {
    const { cluster } = world
    const leader = await cluster.leader()
    await world.undisturbed(async () => {
      await leader.kill()
      await cluster.leader()
    })
    await world.hears()
    await world.undisturbed(() => cluster.up())
    await world.hears()
  })

  inBoth('a member is stopped and started again, as operators do', async (world) => {
    const member = await world.memberOf(1)
    await world.undisturbed(async () => {
      await member.stop()
      await world.cluster.up()
    })
    await world.hears()
  })

  inBoth('a member loses its files, and is replaced', async (world) => {
    const member = await world.memberOf(1)
    await world.undisturbed(() => world.cluster.replace(member))
    await world.hears()
  })

  inBoth('the majority is lost, and comes back: said meanwhile, in the status', async (world) => {
    const { cluster } = world
    const [first, second] = await cluster.followers()
    await world.undisturbed(async () => {
      await Promise.all([first?.kill(), second?.kill()])
      for (const daemon of world.daemons)
        await eventually(`${daemon.host.name} tells of its trouble`, async () => {
          const { ready, store } = await daemon.report()
          expect(ready).toBe(true)
          return Object.keys(store?.troubles ?? {}).length > 0 || undefined
        })
      // Without a store it knows nothing: it must leave all as it is.
      await world.restart(1)
      await pause(1)
      await cluster.up()
      await world.daemon(1).ready()
    })
    await world.hears()
  })

  inBoth('a leader is cut off from its cluster, not from clients', async (world) => {
    const { cluster } = world
    const leader = await world.memberOf(1)
    await cluster.lead(leader)
    await world.undisturbed(async () => {
      await cluster.isolate(leader)
      for (const daemon of world.daemons)
        await eventually(`${daemon.host.name} has left ${leader.name}`, async () =>
          (await cluster.connectedTo(daemon.host)).includes(leader) ? undefined : true,
        )
      await cluster.rejoin(leader)
    })
    await world.hears()
  })

  inBoth('all members are restarted in turn', async (world) => {
    await world.undisturbed(() => world.cluster.restartInTurn())
    await world.hears()
  })
})
