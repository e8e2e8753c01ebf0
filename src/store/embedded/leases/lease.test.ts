// Leases, on the embedded store and on a real etcd alike.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ETCD_KINDS, EtcdServer } from '../../../../test/support/etcd.ts'
import { describeEvents, TestWatch } from '../../../../test/support/watch.ts'
import { Channel } from '../../etcd/channel.ts'
import { KV, Lease } from '../../../../test/support/etcd-api.ts'
import type { LeaseKeepAliveResponse } from '../gen/etcdserverpb/rpc_pb.ts'

const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const grant = (channel: Channel, ID: bigint, TTL: bigint) =>
  channel.unary(Lease.leaseGrant, { ID, TTL }, soon())
const look = (channel: Channel, ID: bigint) =>
  channel.unary(Lease.leaseTimeToLive, { ID, keys: true }, soon())
const put = (channel: Channel, key: string, lease: bigint) =>
  channel.unary(KV.put, { key: bytes(key), value: bytes('x'), lease }, soon())

/** Keeps a lease alive once. */
async function renew(channel: Channel, ...ids: readonly bigint[]): Promise<LeaseKeepAliveResponse[]> {
  using call = await channel.stream(Lease.leaseKeepAlive, {}, soon())
  for (const ID of ids) call.send({ ID })
  call.end()
  const answers: LeaseKeepAliveResponse[] = []
  for await (const answer of call.messages()) answers.push(answer)
  return answers
}

for (const kind of ETCD_KINDS) {
  describe(`leases of ${kind}`, () => {
    let server: EtcdServer
    let channel: Channel
    beforeAll(async () => {
      server = await EtcdServer.start(kind, { inMemory: true })
      channel = new Channel({ endpoints: [server.endpoint] })
    })
    afterAll(async () => {
      channel[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    })

    test('get the id asked for, or one of their own', async () => {
      expect(await grant(channel, 77n, 100n)).toMatchObject({ ID: 77n, TTL: 100n, error: '' })
      const own = await grant(channel, 0n, 100n)
      expect(own.ID).toBeGreaterThan(0n)
      const { leases } = await channel.unary(Lease.leaseLeases, {}, soon())
      expect(leases.map(({ ID }) => ID)).toEqual(expect.arrayContaining([77n, own.ID]))
    })

    test('hold the keys that were put last with them', async () => {
      await grant(channel, 1n, 100n)
      await grant(channel, 2n, 100n)
      await put(channel, 'a', 1n)
      await put(channel, 'b', 1n)
      await put(channel, 'c', 1n)
      await put(channel, 'b', 2n)
      await put(channel, 'c', 0n)
      expect((await look(channel, 1n)).keys).toEqual([bytes('a')])
      expect((await look(channel, 2n)).keys).toEqual([bytes('b')])
    })

    test('take their keys with them, in one revision, when revoked', async () => {
      await grant(channel, 3n, 100n)
      await put(channel, 'r1', 3n)
      const { header } = await put(channel, 'r2', 3n)
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ key: bytes('r'), rangeEnd: bytes('s'), prevKv: true })
      await watch.next()
      await channel.unary(Lease.leaseRevoke, { ID: 3n }, soon())
      const revision = (header?.revision ?? 0n) + 1n
      expect(describeEvents(await watch.next())).toEqual([
        `delete r1@${revision} (was x)`,
        `delete r2@${revision} (was x)`,
      ])
      expect(await look(channel, 3n)).toMatchObject({ TTL: -1n, grantedTTL: 0n, keys: [] })
    })

    test('expire with their keys unless renewed', async () => {
      await grant(channel, 4n, 2n)
      await grant(channel, 5n, 2n)
      await put(channel, 'e4', 4n)
      await put(channel, 'e5', 5n)
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ key: bytes('e'), rangeEnd: bytes('f') })
      await watch.next()
      const begin = performance.now()
      const over = new AbortController()
      const renewing = (async () => {
        while (!over.signal.aborted) {
          await renew(channel, 5n)
          await sleep(300)
        }
      })()
      const [event] = describeEvents(await watch.next())
      expect(event).toStartWith('delete e4@')
      expect(performance.now() - begin).toBeGreaterThan(1500)
      expect((await look(channel, 4n)).TTL).toBe(-1n)
      expect((await look(channel, 5n)).TTL).toBeGreaterThanOrEqual(0n)
      over.abort()
      await renewing
      expect(describeEvents(await watch.next())[0]).toStartWith('delete e5@')
    }, 60_000)

    test('are renewed to their full time; one that is gone is answered with a time of 0', async () => {
      await grant(channel, 6n, 100n)
      const answers = await renew(channel, 6n, 666n)
      expect(answers.map(({ ID, TTL }) => [ID, TTL])).toEqual([
        [6n, 100n],
        [666n, 0n],
      ])
      const left = await look(channel, 6n)
      expect(left.grantedTTL).toBe(100n)
      expect([98n, 99n, 100n]).toContain(left.TTL)
    })
  })
}

// Mostly waiting, so both at once.
test.concurrent('a store that was stopped for longer than a lease lasts lets its holder go on', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  using channel = new Channel({ endpoints: [server.endpoint] })
  await grant(channel, 1n, 2n)
  await put(channel, 'kept', 1n)
  server.freeze()
  await sleep(4500)
  server.thaw()
  expect((await renew(channel, 1n))[0]?.TTL).toBe(2n)
  expect((await channel.unary(KV.range, { key: bytes('kept') }, soon())).count).toBe(1n)
}, 60_000)

test.concurrent('leases that run out while the store is down begin anew with it', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  using channel = new Channel({ endpoints: [server.endpoint] })
  await grant(channel, 1n, 2n)
  await put(channel, 'kept', 1n)
  await server.kill()
  await sleep(2500)
  await server.up()
  expect((await look(channel, 1n)).TTL).toBeGreaterThanOrEqual(1n)
  using watch = await TestWatch.open(server.endpoint)
  watch.create({ key: bytes('kept') })
  await watch.next()
  expect(describeEvents(await watch.next())[0]).toStartWith('delete kept@')
}, 60_000)
