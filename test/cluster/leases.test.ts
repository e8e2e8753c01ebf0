// Leases that others interfere with, on a cluster and under traffic: revoked, deleted again and again, overwritten with
// garbage. No packet is lost, and nobody is renumbered.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { agreed } from '../support/agreement.ts'
import { ClusterWorld } from '../support/cluster-world.ts'
import { CONFIG_KEY, leaseKey, PREFIX } from '../support/etcd-keys.ts'
import { eventually } from '../support/process.ts'
import type { Host } from '../support/segment.ts'

setDefaultTimeout(60_000)

describe('a host’s lease', () => {
  let world: ClusterWorld
  beforeAll(async () => {
    world = await ClusterWorld.start({ hosts: 2 })
  })
  afterAll(() => world[Symbol.asyncDispose]())

  const ownKey = (host: Host) => leaseKey(host.subnet)
  /** Waits until the store holds `value` at that key again. */
  const back = (key: string, value: string | undefined) =>
    eventually(`${key} is back`, () => world.cluster.get(key) === value || undefined)

  test('weak point 28: is revoked: it is put again, and peers never miss it', async () => {
    const { cluster } = world
    const key = ownKey(world.host(2))
    const value = cluster.get(key)
    await world.undisturbed(async () => {
      cluster.etcdctl('lease', 'revoke', cluster.leaseOf(key))
      await back(key, value)
    })
    await world.hears()
  })

  test('is deleted, again and again', async () => {
    const { cluster } = world
    const keys = world.segment.hosts.map(ownKey)
    const values = keys.map((key) => cluster.get(key))
    await world.undisturbed(async () => {
      for (let round = 0; round < 8; round++) {
        for (const key of keys) cluster.delete(key)
        for (const [index, key] of keys.entries()) await back(key, values[index])
      }
    })
    await world.hears()
  })

  test('is overwritten with garbage, among much else: refused by name, and put right', async () => {
    const { cluster } = world
    const key = ownKey(world.host(2))
    const value = cluster.get(key)
    const config = cluster.get(CONFIG_KEY) ?? ''
    const garbage = new Map<string, string>([
      [`${PREFIX}/subnets/`, 'nothing'],
      [`${PREFIX}/subnets/banana`, value ?? ''],
      [`${PREFIX}/subnets/10.244.70.0-24/more`, value ?? ''],
      [leaseKey('10.244.71.0/24'), randomBytes(300).toString('latin1').replaceAll('\0', ' ')],
      [leaseKey('10.244.72.0/24'), ''],
      [leaseKey('10.244.73.0/24'), 'x'.repeat(100_000)],
      [leaseKey('10.244.74.0/24'), '[['.repeat(10_000)],
      [leaseKey('10.244.300.0/24'), value ?? ''],
      [leaseKey('0.0.0.0/0'), value ?? ''],
      [`${PREFIX}/subnets-of-somebody`, 'else'],
    ])
    await world.undisturbed(async () => {
      for (const [name, text] of garbage) cluster.put(name, text)
      cluster.put(key, '{"PublicIP":')
      await back(key, value)
      cluster.put(CONFIG_KEY, 'no JSON')
      await agreed(cluster, world.daemons, { unless: (name) => garbage.has(name) })
      const { refused = {} } = await world.daemon(1).report()
      expect(Object.keys(refused).length).toBe(garbage.size)
      cluster.put(CONFIG_KEY, config)
      for (const name of garbage.keys()) cluster.delete(name)
    })
    await world.hears()
  })

  // The last one: it renumbers h2.
  test('weak point 24: is another host’s when it comes back to the store: it takes a new one, and overwrites nothing', async () => {
    const { cluster } = world
    const host = world.host(2)
    const [key, { subnet }] = [ownKey(host), host]
    const taken = world.peer().value
    await cluster.cut(host)
    cluster.delete(key)
    cluster.put(key, taken)
    await cluster.mend(host)
    await eventually('h2 has another subnet', () => host.subnet !== subnet || undefined, 20)
    expect(cluster.get(key)).toBe(taken)
    expect(cluster.leases().size).toBe(3)
    // As restarting its pods does: they were in what is another host's now.
    await host.sh('ip link del cni0')
    await world.agreed()
  })
})
