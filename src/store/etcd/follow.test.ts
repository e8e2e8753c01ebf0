// Following a range when the store is wiped at the worst moment: after it was asked, before it is watched.
import { describe, expect, test } from 'bun:test'
import { ETCD_KINDS } from '../../../test/support/etcd.ts'
import { Collector, StoreWorld } from '../../../test/support/store-world.ts'
import type { Call, Method } from './call.ts'
import { Channel } from './channel.ts'
import { isFutureRevision } from './error.ts'
import { follow, type Followed } from './follow.ts'
import { History } from './history.ts'
import { keysUnder } from './kv.ts'

/** Does something before each of its watches begins, and after a call has failed. */
class Interrupted extends Channel {
  beforeWatch = (): Promise<void> => Promise.resolve()
  afterFailure: (error: unknown) => Promise<void> = () => Promise.resolve()

  override async unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      return await super.unary(method, request, signal)
    } catch (error) {
      await this.afterFailure(error)
      throw error
    }
  }

  override async stream<Request, Response>(
    method: Method<Request, Response>,
    metadata: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Call<Request, Response>> {
    await this.beforeWatch()
    return super.stream(method, metadata, signal)
  }
}

const isList = (seen: Followed) => seen.kind === 'list'

for (const kind of ETCD_KINDS)
  describe(`a range of ${kind}`, () => {
    const started = async () => {
      const world = await StoreWorld.start(kind)
      for (const name of ['a', 'b', 'c']) await world.put(`/range/${name}`, 'old')
      const channel = new Interrupted({ endpoints: [world.line.endpoint] })
      /** Once, `writes` go to an empty store in place of the one that was asked. */
      const wipe = (...writes: readonly string[]) => {
        channel.beforeWatch = async () => {
          channel.beforeWatch = () => Promise.resolve()
          await world.server.wipe()
          await world.server.up()
          for (const name of writes) await world.put(`/range/${name}`, 'new')
        }
      }
      const begin = () =>
        new Collector(follow(channel, new History(), keysUnder('/range/'), () => undefined, world.signal))
      const dispose = async () => {
        channel[Symbol.dispose]()
        await world[Symbol.asyncDispose]()
      }
      return { world, channel, wipe, begin, [Symbol.asyncDispose]: dispose }
    }
    /** The second list is of the new store. */
    const expectNew = async (seen: Collector<Followed>, names: readonly string[]) => {
      const [old, again] = [await seen.until(isList), await seen.until(isList)]
      if (old.kind !== 'list' || again.kind !== 'list') return expect.unreachable()
      expect(again.keys.map(({ key, value }) => [key, value])).toEqual(
        names.map((name) => [`/range/${name}`, 'new']),
      )
      expect(again.history).not.toBe(old.history)
    }

    test('is listed again in a wiped store that got the newest key again as it was', async () => {
      await using t = await started()
      await t.world.put('/range/b', 'with an end', 600)
      await t.world.put('/range/c', 'the same')
      const seen = t.begin()
      await seen.until(isList)
      t.world.line.cut()
      await t.world.server.wipe()
      await t.world.server.up()
      for (const name of ['a', 'd', 'c', 'b']) await t.world.put(`/range/${name}`, 'new')
      await t.world.put('/range/c', 'the same')
      t.world.line.mend()
      expect(await seen.until(isList)).toMatchObject({ keys: { length: 4 } })
    }, 60_000)

    test('that was wiped, and came to the same revision right after it had said that this is yet to come, is another', async () => {
      await using t = await started()
      const seen = t.begin()
      while (seen.seen.length === 0) await Bun.sleep(5)
      const names = ['a', 'b', 'c']
      t.channel.afterFailure = async (error) => {
        if (!isFutureRevision(error)) return
        for (const name of names.splice(0)) await t.world.put(`/range/${name}`, 'new')
      }
      t.world.line.cut()
      await t.world.server.wipe()
      await t.world.server.up()
      t.world.line.mend()
      await expectNew(seen, ['a', 'b', 'c'])
    }, 60_000)

    // The same revision, one that is behind, one that is ahead.
    for (const writes of [['a', 'b', 'c'], ['a'], ['a', 'b', 'c', 'd', 'e']]) {
      test(`that was wiped between list and watch is listed again (${writes.length} writes)`, async () => {
        await using t = await started()
        t.wipe(...writes)
        await expectNew(t.begin(), writes)
      }, 60_000)

      test(`that was wiped while the watch was begun anew is listed again (${writes.length} writes)`, async () => {
        await using t = await started()
        const seen = t.begin()
        await t.world.put('/range/c', 'newer')
        await seen.until((one) => one.kind === 'events' || one.keys.some(({ value }) => value === 'newer'))
        t.wipe(...writes)
        t.world.line.cut()
        t.world.line.mend()
        const again = await seen.until(isList)
        if (again.kind !== 'list') return expect.unreachable()
        expect(again.keys.map(({ value }) => value)).toEqual(writes.map(() => 'new'))
      }, 60_000)
    }
  })
