// Every store passes this: nothing is missed and nothing invented when the line is cut, and the server compacted,
// restarted, killed, frozen, wiped or replaced.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ETCD_KINDS, type EtcdKind } from '../../../test/support/etcd.ts'
import { Collector, CONFIG_KEY, leaseKey, leaseValue, StoreWorld } from '../../../test/support/store-world.ts'
import { parseLease, type SubnetKey } from '../../model/lease.ts'
import { Channel } from '../etcd/channel.ts'
import { keysUnder } from '../etcd/kv.ts'
import { watch } from '../etcd/watch.ts'
import type { LeaseEvent } from '../store.ts'

const CONFIG = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
type Snapshot = LeaseEvent & { readonly kind: 'snapshot' }
const isSnapshot = (event: LeaseEvent): event is Snapshot => event.kind === 'snapshot'
const subnet = (third: number) => `10.3.${third}.0-24`
const keysOf = ({ leases }: Snapshot) => leases.map(({ key }) => key as string)

/** A world with one lease, 10.3.1.0/24, whose followers have seen it. */
const started = async (kind: EtcdKind) => {
  const world = await StoreWorld.start(kind)
  await world.put(CONFIG_KEY, CONFIG)
  await world.put(leaseKey(subnet(1)), leaseValue('1.1.1.1'))
  const store = world.store()
  const leases = new Collector(store.leases(world.signal))
  const configs = new Collector(store.configs(world.signal))
  await configs.until(({ kind }) => kind === 'config')
  const first = (await leases.until(isSnapshot)) as Snapshot
  const put = (third: number) => world.put(leaseKey(subnet(third)), leaseValue(`1.1.1.${third}`))
  const arrival = async (third: number) => {
    await leases.until((event) => event.kind === 'put' && event.lease.key === subnet(third))
  }
  const snapshot = async () => (await leases.until(isSnapshot)) as Snapshot
  /** Told that all is well again. */
  const healthy = async () => {
    while (store.troubles.size > 0) await Bun.sleep(10)
  }
  const dispose = () => world[Symbol.asyncDispose]()
  return {
    world,
    store,
    leases,
    configs,
    first,
    put,
    arrival,
    snapshot,
    healthy,
    [Symbol.asyncDispose]: dispose,
  }
}

for (const kind of ETCD_KINDS)
  describe(`when ${kind} fails, the leases`, () => {
    test('go on where they were after a cut line, without a new snapshot', async () => {
      await using t = await started(kind)
      await t.put(9)
      await t.arrival(9)
      t.world.line.cut()
      await t.put(2)
      await t.world.remove(leaseKey(subnet(1)))
      await t.put(3)
      t.world.line.mend()
      await t.arrival(3)
      expect(t.leases.seen.map(({ kind }) => kind)).toEqual(['snapshot', 'put', 'put', 'delete', 'put'])
      await t.world.remove(leaseKey(subnet(3)))
      await t.put(4)
      await t.arrival(4)
      // What we missed is told from what we saw.
      expect(t.leases.seen.filter(({ kind }) => kind === 'delete')).toStrictEqual([
        { kind: 'delete', subnet: subnet(1) as SubnetKey, missed: true },
        { kind: 'delete', subnet: subnet(3) as SubnetKey },
      ])
      expect(t.configs.seen.length).toBe(1)
      // One line in the log for what went wrong, one when all is well.
      await t.healthy()
      expect(t.store.reports.map((error) => error?.code)).toStrictEqual(['unavailable', undefined])
    })

    test('are heard of with each event, and each failure is told', async () => {
      await using world = await StoreWorld.start(kind)
      const heard: string[] = []
      const store = world.store({ heard: (who, error) => heard.push(`${who} ${error?.code ?? 'fine'}`) })
      const leases = new Collector(store.leases(world.signal))
      await leases.until(isSnapshot)
      const since = async (from: number, what: string) => {
        while (!heard.slice(from).includes(what)) await Bun.sleep(5)
        return heard.length
      }
      const begun = await since(0, 'leases fine')
      await world.put(leaseKey(subnet(1)), leaseValue('1.1.1.1'))
      const put = await since(begun, 'leases fine')
      world.line.cut()
      const failed = await since(put, 'leases unavailable')
      const again = await since(failed, 'leases unavailable')
      world.line.mend()
      await since(again, 'leases fine')
    })

    test('are known again when the newest was deleted before the line was cut', async () => {
      await using t = await started(kind)
      await t.put(2)
      await t.arrival(2)
      await t.world.remove(leaseKey(subnet(2)))
      await t.leases.until(({ kind }) => kind === 'delete')
      t.world.line.cut()
      await t.put(3)
      t.world.line.mend()
      const event = await t.leases.until((e) => e.kind === 'put' || isSnapshot(e))
      if (isSnapshot(event)) expect(event.history).toBe(t.first.history)
    })

    test('come whole and once when what was missed takes many messages', async () => {
      await using t = await started(kind)
      t.world.line.cut()
      const data = 'x'.repeat(10_000)
      for (let i = 0; i < 400; i += 50)
        await t.world.putAll(
          Array.from({ length: 50 }, (_, j) => [
            leaseKey(`10.4.${(i + j) >> 1}.${((i + j) & 1) << 7}-25`),
            leaseValue('1.1.1.1', data),
          ]),
        )
      await t.put(9)
      t.world.line.mend()
      await t.arrival(9)
      const puts = t.leases.seen.flatMap((event) => (event.kind === 'put' ? [event.lease.key] : []))
      expect([puts.length, new Set(puts).size]).toEqual([401, 401])
    }, 60_000)

    test('R2, R3: start with a snapshot when the missed revisions are compacted, then go on', async () => {
      await using t = await started(kind)
      t.world.line.cut()
      await t.put(2)
      await t.world.remove(leaseKey(subnet(1)))
      for (let i = 0; i < 5; i++) await t.world.put('/elsewhere', String(i))
      await t.world.compact()
      t.world.line.mend()
      const again = await t.snapshot()
      // R4: what was deleted and compacted away is absent from it; in the same history, absence is deletion.
      expect(keysOf(again)).toEqual([subnet(2)])
      expect(again.history).toBe(t.first.history)
      await t.put(3)
      await t.arrival(3)
      expect(t.configs.seen.length).toBe(1)
    })

    test('R6: survive a compaction under a healthy watch and then a restart', async () => {
      await using t = await started(kind)
      await t.put(2)
      await t.arrival(2)
      for (let i = 0; i < 5; i++) await t.world.put('/elsewhere', String(i))
      await t.world.compact()
      await t.world.server.restart()
      const again = await t.snapshot()
      expect(keysOf(again)).toEqual([subnet(1), subnet(2)])
      expect(again.history).toBe(t.first.history)
      await t.put(3)
      await t.arrival(3)
    }, 60_000)

    test('a watch from a compacted revision says so', async () => {
      await using t = await started(kind)
      for (let i = 0; i < 5; i++) await t.world.put('/elsewhere', String(i))
      await t.world.compact()
      using channel = new Channel({ endpoints: [t.world.server.endpoint] })
      const batches = new Collector(watch(channel, keysUnder('/'), 1n, t.world.signal))
      expect(await batches.end()).toMatchObject({ code: 'compacted' })
    })

    test('miss nothing over kill -9 and a start', async () => {
      await using t = await started(kind)
      await t.put(2)
      await t.arrival(2)
      await t.world.server.kill()
      await t.world.server.up()
      await t.put(3)
      await t.arrival(3)
      expect(t.leases.seen.filter(({ kind }) => kind === 'delete')).toEqual([])
      expect(t.leases.seen.filter(isSnapshot).every(({ history }) => history === t.first.history)).toBe(true)
      await t.healthy()
      expect(t.store.reports.map((error) => error?.code)).toStrictEqual(['unavailable', undefined])
    }, 60_000)

    test('a wiped store, same cluster or another, is a new history; nothing of the old one is deleted', async () => {
      await using t = await started(kind)
      let history = t.first.history
      for (const replaced of [false, true]) {
        await t.put(2)
        await t.world.server.wipe({ replaced })
        await t.world.server.up()
        const again = await t.snapshot()
        expect(again.history).not.toBe(history)
        expect(keysOf(again)).toEqual([])
        expect((await t.configs.until(({ kind }) => kind !== 'config')).kind).toBe('missing')
        history = again.history
        await t.world.put(CONFIG_KEY, CONFIG)
        expect((await t.configs.until(() => true)).kind).toBe('config')
        await t.put(1)
        await t.arrival(1)
      }
      expect(t.leases.seen.filter(({ kind }) => kind === 'delete')).toEqual([])
    }, 60_000)

    test('a wiped store is noticed even if it has outrun the old one meanwhile', async () => {
      await using t = await started(kind)
      t.world.line.cut()
      await t.world.server.wipe()
      await t.world.server.up()
      for (let i = 0; i < 30; i++) await t.world.put('/elsewhere', String(i))
      await t.put(5)
      t.world.line.mend()
      const again = await t.snapshot()
      expect(again.history).not.toBe(t.first.history)
      expect(keysOf(again)).toEqual([subnet(5)])
    }, 60_000)

    test('and if there was no lease by which to know it', async () => {
      await using world = await StoreWorld.start(kind)
      for (let i = 0; i < 10; i++) await world.put('/elsewhere', String(i))
      const leases = new Collector(world.store().leases(world.signal))
      const first = (await leases.until(isSnapshot)) as Snapshot
      expect(first.leases).toEqual([])
      world.line.cut()
      await world.server.wipe()
      await world.server.up()
      await world.put(leaseKey(subnet(5)), leaseValue('1.1.1.5'))
      for (let i = 0; i < 20; i++) await world.put('/elsewhere', String(i))
      world.line.mend()
      const again = (await leases.until(() => true)) as Snapshot
      expect(keysOf(again)).toEqual([subnet(5)])
      expect(again.history).not.toBe(first.history)
    }, 60_000)

    test('whatever is written and whatever breaks, add up to what the store holds', async () => {
      await using t = await started(kind)
      const keys = [
        subnet(2),
        subnet(3),
        '10.3.2.0-23',
        '10.3.4.0-24&fd00::-64',
        '10.3.4.0-24&fd00:0::-64',
        'stray',
        '',
      ]
      const values = [
        leaseValue('1.1.1.2'),
        leaseValue('1.1.1.3', { VNI: 2 }),
        '',
        '{',
        '{"PublicIP":"\u0000"}',
        '[]',
      ]
      const step = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({ key: fc.constantFrom(...keys), value: fc.constantFrom(...values) }),
        },
        { weight: 3, arbitrary: fc.record({ key: fc.constantFrom(...keys) }) },
        { weight: 1, arbitrary: fc.constantFrom('cut' as const, 'mend' as const, 'compact' as const) },
      )
      const held = new Map<string, string>()
      const shown = (l: object) =>
        JSON.stringify(l, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v))
      const fold = (event: LeaseEvent) => {
        if (event.kind === 'snapshot') {
          held.clear()
          for (const lease of event.leases) held.set(lease.key, shown(lease))
          for (const { key } of event.rejected) held.set(key, 'rejected')
        } else if (event.kind === 'put') held.set(event.lease.key, shown(event.lease))
        else if (event.kind === 'rejected') held.set(event.key, 'rejected')
        else held.delete(event.subnet)
      }
      let folded = 0
      let round = 100
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
          for (const s of steps)
            if (s === 'cut') t.world.line.cut()
            else if (s === 'mend') t.world.line.mend()
            else if (s === 'compact') await t.world.compact()
            else if ('value' in s) await t.world.put(leaseKey(s.key), s.value)
            else await t.world.remove(leaseKey(s.key))
          t.world.line.mend()
          const last = leaseKey(subnet(++round))
          const revision = await t.world.put(last, leaseValue('1.1.1.1'))
          await t.leases.until(
            (event) =>
              (event.kind === 'put' && event.lease.createRevision === revision) ||
              (isSnapshot(event) && event.leases.some(({ createRevision }) => createRevision === revision)),
          )
          for (; folded < t.leases.seen.length; folded++) fold(t.leases.seen[folded] ?? expect.unreachable())
          const expected = (await t.world.leases()).map((kv): [string, string] => {
            const name = kv.key.slice(leaseKey('').length)
            const lease = parseLease(name, kv.value, kv.createRevision)
            return [name, typeof lease === 'string' ? 'rejected' : shown(lease)]
          })
          expect(held).toEqual(new Map(expected))
        }),
        { numRuns: 15 },
      )
    }, 60_000)

    test('go on from another endpoint when one is gone', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store({ endpoints: [world.line.endpoint, world.server.endpoint] })
      const leases = new Collector(store.leases(world.signal))
      await leases.until(isSnapshot)
      world.line.cut()
      await world.put(leaseKey(subnet(2)), leaseValue('1.1.1.2'))
      await leases.until(({ kind }) => kind === 'put')
      expect(leases.seen.length).toBe(2)
    })
  })

// Together, for most of their time is waiting.
describe.concurrent('a frozen server', () => {
  for (const kind of ETCD_KINDS)
    test(`of ${kind} leaves the leases as they are, is noticed within 10 s, and mended by itself`, async () => {
      await using t = await started(kind)
      t.world.server.freeze()
      const began = performance.now()
      while (t.store.reports.length === 0 && performance.now() - began < 15_000) await Bun.sleep(50)
      expect(performance.now() - began).toBeLessThan(10_500)
      expect(t.store.reports[0]?.message).toContain('no answer to a ping')
      expect(t.leases.seen.length).toBe(1)
      t.world.server.thaw()
      await t.put(2)
      await t.arrival(2)
      expect(t.leases.seen.map(({ kind }) => kind)).toEqual(['snapshot', 'put'])
      await t.healthy()
      expect(t.store.reports.map((error) => error?.code)).toStrictEqual(['unavailable', undefined])
    }, 60_000)
})
