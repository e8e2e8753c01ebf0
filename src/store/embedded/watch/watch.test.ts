// Watches, on the embedded store and on a real etcd alike.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { ETCD_KINDS, EtcdServer } from '../../../../test/support/etcd.ts'
import { describeEvents, TestWatch } from '../../../../test/support/watch.ts'
import { Channel } from '../../etcd/channel.ts'
import { KV } from '../../../../test/support/etcd-api.ts'

const soon = (): AbortSignal => AbortSignal.timeout(15_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
const ALL = { key: bytes('\0'), rangeEnd: bytes('\0') }
const NO_PUT = 0
const NO_DELETE = 1

for (const kind of ETCD_KINDS) {
  describe(`watches of ${kind}`, () => {
    let server: EtcdServer
    let channel: Channel
    /** The newest revision when the test began. */
    let begin: bigint

    const put = (key: string, value: string | Uint8Array) =>
      channel.unary(
        KV.put,
        { key: bytes(key), value: typeof value === 'string' ? bytes(value) : value },
        soon(),
      )
    const del = (key: string, rangeEnd = '') =>
      channel.unary(KV.deleteRange, { key: bytes(key), rangeEnd: bytes(rangeEnd) }, soon())
    const putAll = (pairs: Readonly<Record<string, string | Uint8Array>>) =>
      channel.unary(
        KV.txn,
        {
          success: Object.entries(pairs).map(([key, value]) => ({
            request: {
              case: 'requestPut' as const,
              value: { key: bytes(key), value: typeof value === 'string' ? bytes(value) : value },
            },
          })),
        },
        soon(),
      )

    beforeAll(async () => {
      server = await EtcdServer.start(kind, { inMemory: true })
      channel = new Channel({ endpoints: [server.endpoint] })
    })
    beforeEach(async () => {
      await put('begin', 'x')
      begin = (await del('\0', '\0')).header?.revision ?? 0n
    })
    afterAll(async () => {
      channel[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    })

    test('tell of a key, a prefix or all keys from now on', async () => {
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ key: bytes('a') })
      watch.create({ key: bytes('a/'), rangeEnd: bytes('a0') })
      watch.create({ key: bytes('b'), rangeEnd: bytes('\0') })
      for (const watchId of [0n, 1n, 2n]) {
        expect(await watch.next()).toMatchObject({ watchId, created: true, header: { revision: begin } })
      }
      await put('a', '1')
      await put('a/x', '2')
      await put('c', '3')
      const told: [bigint | undefined, string[]][] = []
      for (let count = 0; count < 3; count++) {
        const response = await watch.next()
        told.push([response?.watchId, describeEvents(response)])
      }
      expect(told).toEqual([
        [0n, [`put a=1@${begin + 1n}`]],
        [1n, [`put a/x=2@${begin + 2n}`]],
        [2n, [`put c=3@${begin + 3n}`]],
      ])
    })

    test('tell all events of a revision at once, in the order of the transaction', async () => {
      using watch = await TestWatch.open(server.endpoint)
      watch.create(ALL)
      await watch.next()
      await putAll({ b: '1', a: '2', c: '3' })
      await del('a', 'c')
      expect(describeEvents(await watch.next())).toEqual([
        `put b=1@${begin + 1n}`,
        `put a=2@${begin + 1n}`,
        `put c=3@${begin + 1n}`,
      ])
      expect(describeEvents(await watch.next())).toEqual([`delete a@${begin + 2n}`, `delete b@${begin + 2n}`])
    })

    test('begin at a revision of the past, with what was there before', async () => {
      await put('a', '1')
      await put('a', '2')
      await del('a')
      await put('a', '3')
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ key: bytes('a'), startRevision: begin + 2n, prevKv: true })
      expect((await watch.next())?.created).toBe(true)
      const events: string[] = []
      while (events.length < 3) events.push(...describeEvents(await watch.next()))
      await put('a', '4')
      events.push(...describeEvents(await watch.next()))
      expect(events).toEqual([
        `put a=2@${begin + 2n} (was 1)`,
        `delete a@${begin + 3n} (was 2)`,
        `put a=3@${begin + 4n}`,
        `put a=4@${begin + 5n} (was 3)`,
      ])
    })

    test('begin at a revision of the future and are silent until then', async () => {
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ ...ALL, startRevision: begin + 3n })
      await watch.next()
      await put('a', '1')
      await put('a', '2')
      expect(await watch.isSilent()).toBe(true)
      await put('a', '3')
      expect(describeEvents(await watch.next())).toEqual([`put a=3@${begin + 3n}`])
    })

    test('leave out what they filter', async () => {
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ ...ALL, filters: [NO_PUT] })
      watch.create({ ...ALL, filters: [NO_DELETE] })
      await watch.next()
      await watch.next()
      await put('a', '1')
      await del('a')
      const [first, second] = [await watch.next(), await watch.next()]
      expect([first?.watchId, describeEvents(first)]).toEqual([1n, [`put a=1@${begin + 1n}`]])
      expect([second?.watchId, describeEvents(second)]).toEqual([0n, [`delete a@${begin + 2n}`]])
      expect(await watch.isSilent()).toBe(true)
    })

    test('take ids, free or asked for, and refuse one in use and an empty range', async () => {
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ ...ALL, watchId: 1n })
      watch.create(ALL)
      watch.create(ALL)
      watch.create({ ...ALL, watchId: 1n })
      watch.create({ key: bytes('b'), rangeEnd: bytes('a') })
      const answers = []
      for (let count = 0; count < 5; count++) answers.push(await watch.next())
      expect(
        answers.map((answer) => [answer?.watchId, answer?.created, answer?.canceled, answer?.cancelReason]),
      ).toEqual([
        [1n, true, false, ''],
        [0n, true, false, ''],
        [2n, true, false, ''],
        [-1n, true, true, 'mvcc: duplicate watch ID provided on the WatchStream'],
        [-1n, true, true, 'mvcc: watcher range is empty'],
      ])
    })

    test('end when cancelled, and then tell nothing more', async () => {
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ key: bytes('a') })
      await watch.next()
      watch.cancel(7n)
      watch.cancel(0n)
      expect(await watch.next()).toMatchObject({ watchId: 0n, canceled: true, compactRevision: 0n })
      await put('a', '1')
      expect(await watch.isSilent()).toBe(true)
    })

    test('from a compacted revision are cancelled with the one from which on they may begin', async () => {
      for (const value of ['1', '2', '3']) await put('a', value)
      await channel.unary(KV.compact, { revision: begin + 2n }, soon())
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ key: bytes('a'), startRevision: begin + 1n })
      expect(await watch.next()).toMatchObject({ created: true, canceled: false })
      expect(await watch.next()).toMatchObject({
        watchId: 0n,
        canceled: true,
        compactRevision: begin + 2n,
        created: false,
      })
      watch.create({ key: bytes('a'), startRevision: begin + 2n })
      expect((await watch.next())?.created).toBe(true)
      const events: string[] = []
      while (events.length < 2) events.push(...describeEvents(await watch.next()))
      expect(events).toEqual([`put a=2@${begin + 2n}`, `put a=3@${begin + 3n}`])
    })

    test('report progress on demand, after everything up to it was told', async () => {
      for (let index = 0; index < 50; index++) await put(`k${index}`, 'v')
      using watch = await TestWatch.open(server.endpoint)
      watch.create(ALL)
      await watch.next()
      watch.askProgress()
      expect(await watch.next()).toMatchObject({
        watchId: -1n,
        header: { revision: begin + 50n },
        events: [],
      })
    })

    test('hand out a revision larger than a message in fragments to those who ask for that', async () => {
      const value = (fill: number) => new Uint8Array(700_000).fill(fill)
      for (const key of ['a', 'b', 'c', 'd']) await put(key, value(1))
      using watch = await TestWatch.open(server.endpoint)
      watch.create({ ...ALL, fragment: true, prevKv: true })
      watch.create({ ...ALL, prevKv: true })
      await watch.next()
      await watch.next()
      await del('a', 'e')
      const parts: Record<string, [boolean, number][]> = { '0': [], '1': [] }
      let events = 0
      while (events < 8) {
        const response = await watch.next()
        events += response?.events.length ?? 0
        parts[String(response?.watchId)]?.push([response?.fragment ?? false, response?.events.length ?? 0])
      }
      expect(parts['1']).toEqual([[false, 4]])
      const fragments = parts['0'] ?? []
      expect(fragments.length).toBeGreaterThan(1)
      expect(fragments.map(([fragment]) => fragment)).toEqual([...fragments.slice(1).map(() => true), false])
    })

    test('go on when the client has no more to ask', async () => {
      using watch = await TestWatch.open(server.endpoint, { hasleader: 'true' })
      watch.create(ALL)
      await watch.next()
      watch.end()
      await put('a', '1')
      expect(describeEvents(await watch.next())).toEqual([`put a=1@${begin + 1n}`])
    })

    test('by the hundred on one call all hear of a change', async () => {
      using watch = await TestWatch.open(server.endpoint)
      for (let count = 0; count < 200; count++) watch.create({ key: bytes('many'), rangeEnd: bytes('manz') })
      for (let count = 0; count < 200; count++) await watch.next()
      await put('many/1', 'x')
      const told = new Set<bigint | undefined>()
      for (let count = 0; count < 200; count++) told.add((await watch.next())?.watchId)
      expect(told.size).toBe(200)
    })
  })
}

test('a watch that catches up meets the present without a gap while writes go on', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  using channel = new Channel({ endpoints: [server.endpoint] })
  const put = (index: number) =>
    channel.unary(KV.put, { key: bytes(`k${index % 7}`), value: bytes(`${index}`) }, soon())
  for (let index = 0; index < 3000; index += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, offset) => put(index + offset)))
  }
  using watch = await TestWatch.open(server.endpoint)
  watch.create({ ...ALL, startRevision: 2n, prevKv: true })
  await watch.next()
  const writing = (async () => {
    for (let index = 3000; index < 3500; index++) await put(index)
  })()
  watch.askProgress()
  let revision = 1n
  let progress = 0n
  while (revision < 3501n) {
    const response = await watch.next()
    if (response?.watchId === -1n) {
      progress = response.header?.revision ?? 0n
      expect(progress).toBe(revision)
    }
    for (const { kv, prevKv } of response?.events ?? []) {
      expect(kv?.modRevision).toBe(++revision)
      if (revision > 1000n) expect(prevKv?.version).toBe((kv?.version ?? 0n) - 1n)
    }
  }
  await writing
  expect(progress).toBeGreaterThanOrEqual(3001n)
}, 60_000)

test('idle watches that ask for it hear the revision from time to time', async () => {
  await using server = await EtcdServer.start('embedded', {
    inMemory: true,
    flags: ['--watch-progress-notify-interval', '0.2'],
  })
  using channel = new Channel({ endpoints: [server.endpoint] })
  using watch = await TestWatch.open(server.endpoint)
  watch.create({ key: bytes('idle'), progressNotify: true })
  watch.create({ key: bytes('idle') })
  await watch.next()
  await watch.next()
  await channel.unary(KV.put, { key: bytes('elsewhere'), value: bytes('x') }, soon())
  for (let count = 0; count < 2; count++) {
    expect(await watch.next()).toMatchObject({
      watchId: 0n,
      events: [],
      created: false,
      header: { revision: 2n },
    })
  }
  watch.cancel(0n)
  expect(await watch.next()).toMatchObject({ canceled: true })
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(await watch.isSilent()).toBe(true)
})
