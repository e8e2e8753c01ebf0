// What a follower asks of its server, call by call. Flannel-compat 10 numbers 2 and 25: upstream never learns a peer
// where its first list fails, and asks for each lease's time to live, one after the other.
import { expect, test } from 'bun:test'
import { refuse, serveGrpc } from '../../../test/support/grpc-server.ts'
import { ScriptedEtcd } from '../../../test/support/scripted-etcd.ts'
import { Collector, leaseKey, leaseValue, PREFIX } from '../../../test/support/store-world.ts'
import { EtcdStore } from './store.ts'

const UNAVAILABLE = 14
const nameOf = (n: number) => `10.${n >> 8}.${n & 255}.0-24`

/** A store of ours, the names of the methods that it called, and how many calls are still to fail. */
async function asked(leases: number) {
  const etcd = new ScriptedEtcd()
  for (let n = 0; n < leases; n++) etcd.write(leaseKey(nameOf(n)), leaseValue('1.1.1.1'))
  const world = { etcd, calls: [] as string[], failing: 0 }
  const server = await serveGrpc((stream, path) => {
    world.calls.push(path.split('/').at(-1) ?? path)
    if (world.failing-- > 0) refuse(stream, UNAVAILABLE, 'etcdserver: no leader')
    else etcd.answer(stream, path)
  })
  const store = new EtcdStore({ endpoints: [server.endpoint], prefix: PREFIX, renewMarginMinutes: 60 })
  const dispose = async () => {
    await store[Symbol.asyncDispose]()
    server[Symbol.dispose]()
  }
  return Object.assign(world, { store, [Symbol.asyncDispose]: dispose })
}

test('weak point 2: a first list that fails is told, and asked for again until it works', async () => {
  await using world = await asked(3)
  world.failing = 3
  const leases = new Collector(world.store.leases(new AbortController().signal))
  while (world.store.troubles.size === 0) await Bun.sleep(2)
  expect([...world.store.troubles.keys()]).toEqual(['leases'])
  expect(leases.seen).toEqual([])
  expect(await leases.until(() => true)).toMatchObject({ kind: 'snapshot', leases: { length: 3 } })
  while (world.store.troubles.size > 0) await Bun.sleep(2)
  world.etcd.write(leaseKey(nameOf(7)), leaseValue('1.1.1.7'))
  expect(await leases.until(() => true)).toMatchObject({ kind: 'put', lease: { key: nameOf(7) } })
})

test('weak point 25: a thousand leases are one request, and each change of one is none', async () => {
  await using world = await asked(1000)
  const leases = new Collector(world.store.leases(new AbortController().signal))
  expect(await leases.until(() => true)).toMatchObject({ kind: 'snapshot', leases: { length: 1000 } })
  while (world.etcd.watches === 0) await Bun.sleep(2)
  for (let n = 0; n < 200; n++) world.etcd.write(leaseKey(nameOf(n)), leaseValue('2.2.2.2'))
  for (let n = 0; n < 200; n++)
    expect(await leases.until(() => true)).toMatchObject({ kind: 'put', lease: { key: nameOf(n) } })
  // The list, the watch, and the one key by which the store is known again.
  expect(world.calls).toEqual(['Range', 'Watch', 'Range'])
})
