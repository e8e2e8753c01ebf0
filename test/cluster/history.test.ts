// What becomes of a store's past, under traffic: compaction and defragmentation, an empty cluster in the old one's
// place, and snapshots restored. No packet is lost, and what is true at the end is in every kernel.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { CONFIG, ClusterWorld } from '../support/cluster-world.ts'
import { CONFIG_KEY, leaseKey } from '../support/etcd-keys.ts'
import { eventually } from '../support/process.ts'

setDefaultTimeout(60_000)

/** Hosts come back one after another, up to two seconds apart. */
const RESET_GRACE_SECONDS = 3
const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

const started = () => ClusterWorld.start({ hosts: 2, args: [`--store-reset-grace=${RESET_GRACE_SECONDS}s`] })

describe('a cluster’s past:', () => {
  let world: ClusterWorld
  beforeAll(async () => {
    world = await started()
  })
  afterAll(() => world[Symbol.asyncDispose]())

  test('compacted and defragmented under the watch', async () => {
    await world.undisturbed(async () => {
      world.cluster.compact()
      world.cluster.defragment()
    })
    await world.hears()
  })

  test('compacted while a host was away: it lists anew, and writes only what is new', async () => {
    const { cluster } = world
    const host = world.host(1)
    const [gone, came] = [world.peer(), world.peer()]
    cluster.put(gone.key, gone.value)
    await world.agreed()
    await world.undisturbed(
      async () => {
        const member = await world.memberOf(1)
        await cluster.cut(host)
        // What it was connected to forgets it, so that no event waits in a connection.
        await member.kill()
        await cluster.up()
        cluster.delete(gone.key)
        cluster.put(came.key, came.value)
        cluster.compact()
        await cluster.mend(host)
      },
      { writes: true },
    )
    cluster.delete(came.key)
    await world.hears()
  })

  test('an empty cluster in its place: hosts put their leases again, under the same subnets', async () => {
    const { cluster } = world
    await world.undisturbed(async () => {
      await cluster.wipe({ isNew: true })
      await cluster.up()
      await eventually('both leases are back', () => cluster.leases().size === 2 || undefined)
      await pause(RESET_GRACE_SECONDS + 0.5)
      cluster.put(CONFIG_KEY, CONFIG)
    })
    await world.hears()
  })
})

// Mostly waiting, so all at once.
describe.concurrent('a cluster', () => {
  test.each([
    ['as the same cluster, its revision gone back', {}],
    ['as a new cluster', { isNew: true }],
    ['as the same cluster, its revision bumped', { bumpRevision: 1_000_000 }],
  ] as const)('restored from a snapshot %s', async (_, how) => {
    await using world = await started()
    const { cluster } = world
    const [kept, late] = [world.peer(), world.peer()]
    cluster.put(kept.key, kept.value)
    // Not in the snapshot: it puts itself again, and is reached all the time.
    const own = leaseKey(world.host(2).subnet)
    const value = cluster.get(own)
    cluster.delete(own)
    const snapshot = await cluster.snapshot()
    await eventually('h2 has its lease again', () => cluster.get(own) === value || undefined, 60)
    cluster.delete(kept.key)
    cluster.put(late.key, late.value)
    await world.agreed()
    await world.undisturbed(
      async () => {
        await cluster.restore(snapshot, how)
        await eventually('h2 has its lease again', () => cluster.get(own) === value || undefined)
        expect(cluster.get(late.key)).toBeUndefined()
      },
      { writes: true },
    )
    expect(await world.host(1).sh('ip route')).toContain(kept.subnet)
    cluster.delete(kept.key)
    await world.hears()
  })
})
