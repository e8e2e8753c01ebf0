// Every store passes this: this host's lease, kept through renewals, deletions, other writers and lost stores.
import { describe, expect, test } from 'bun:test'
import { ETCD_KINDS, type EtcdKind } from '../../../test/support/etcd.ts'
import {
  attributes,
  Collector,
  leaseKey,
  leaseValue,
  StoreWorld,
  wishOf,
} from '../../../test/support/store-world.ts'
import type { EtcdStoreOptions } from '../etcd/store.ts'
import { StoreError, type OwnLease } from '../store.ts'

const CONFIG = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
const IP = '1.2.3.4'
const KEY = leaseKey('10.3.7.0-24')
const seconds = (n: number) => n / 60

/** A world with our lease 10.3.7.0/24 in it. */
const started = async (kind: EtcdKind, options: Partial<EtcdStoreOptions> = {}) => {
  const world = await StoreWorld.start(kind)
  const store = world.store(options)
  const own = await store.acquire(wishOf(IP, CONFIG, { previous: ['10.3.7.0/24'] }), world.signal)
  const changes = new Collector(own.changes(world.signal))
  return { world, store, own, changes, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

for (const kind of ETCD_KINDS)
  describe(`our own lease in ${kind}`, () => {
    const lostError = async (own: OwnLease, signal: AbortSignal) => {
      const error = await own.update(attributes(IP), signal).catch((e: unknown) => e)
      return error instanceof StoreError ? error.code : expect.unreachable(String(error))
    }

    test('stays when we let it go: disposing never revokes', async () => {
      await using t = await started(kind, { ttlSeconds: 60 })
      await t.own[Symbol.asyncDispose]()
      await t.store[Symbol.asyncDispose]()
      const kv = await t.world.get(KEY)
      expect((await t.world.lifeOf(kv?.lease ?? 0n)).left).toBeGreaterThan(30)
      expect(await t.changes.end()).toBeUndefined()
    })

    test('is put again at once when it is deleted, and again', async () => {
      await using t = await started(kind)
      for (let i = 0; i < 3; i++) {
        const revision = (await t.world.get(KEY))?.createRevision ?? 0n
        await t.world.remove(KEY)
        const again = await t.changes.until((change) => change !== 'lost')
        expect(again).toMatchObject({ key: '10.3.7.0-24', ipv4: { publicIp: IP } })
        const kv = await t.world.get(KEY)
        expect(kv?.value).toBe(leaseValue(IP))
        expect(kv?.createRevision).toBeGreaterThan(revision)
        expect(kv?.lease).not.toBe(0n)
      }
    })

    test('weak point 28: is put again at once when its etcd lease is revoked, and lives on with another', async () => {
      await using t = await started(kind)
      for (let i = 0; i < 2; i++) {
        const before = await t.world.get(KEY)
        await t.world.revoke(before?.lease ?? 0n)
        expect(await t.changes.until((change) => change !== 'lost')).toMatchObject({ key: '10.3.7.0-24' })
        const kv = await t.world.get(KEY)
        expect(kv?.value).toBe(leaseValue(IP))
        expect([0n, before?.lease]).not.toContain(kv?.lease)
        expect((await t.world.lifeOf(kv?.lease ?? 0n)).left).toBeGreaterThan(80_000)
      }
      expect(t.store.reports).toEqual([])
    })

    test('weak point 24: is lost when another host holds the key, and never written again', async () => {
      await using t = await started(kind)
      await t.world.put(KEY, leaseValue('9.9.9.9'))
      expect(await t.changes.until(() => true)).toBe('lost')
      expect(await t.changes.end()).toBeUndefined()
      expect(await lostError(t.own, t.world.signal)).toBe('lost')
      expect(await t.world.get(KEY)).toMatchObject({ value: leaseValue('9.9.9.9') })
      // The host goes on by acquiring anew.
      await using next = await t.store.acquire(
        wishOf(IP, CONFIG, { previous: ['10.3.7.0/24'] }),
        t.world.signal,
      )
      expect(next.lease.key as string).not.toBe('10.3.7.0-24')
    })

    test('is lost when another host took an overlapping subnet while it was gone', async () => {
      await using t = await started(kind)
      t.world.line.cut()
      await t.world.remove(KEY)
      await t.world.put(leaseKey('10.3.6.0-23'), leaseValue('9.9.9.9'))
      t.world.line.mend()
      expect(await t.changes.until(() => true)).toBe('lost')
      expect(await t.world.leaseNames()).toEqual(['10.3.6.0-23'])
    })

    test('is put again under its subnet in a wiped and in a replaced store', async () => {
      await using t = await started(kind)
      for (const replaced of [false, true]) {
        await t.world.server.wipe({ replaced })
        await t.world.server.up()
        const leases = new Collector(t.world.store().leases(t.world.signal))
        await leases.until((e) => e.kind === 'put' || (e.kind === 'snapshot' && e.leases.length > 0))
        expect(await t.world.get(KEY)).toMatchObject({ value: leaseValue(IP) })
      }
    }, 60_000)

    for (const followed of [true, false])
      test(`is lost to another host in a wiped store, though its key has the revision that ours had${followed ? '' : ', and we had not seen ours there yet'}`, async () => {
        await using t = await started(kind)
        if (followed) {
          // Only who follows it puts it again.
          await t.world.remove(KEY)
          await t.changes.until((change) => change !== 'lost')
        }
        t.world.line.cut()
        const revision = (await t.world.get(KEY))?.modRevision ?? 0n
        await t.world.server.wipe()
        await t.world.server.up()
        // The first write to a store has revision 2.
        for (let i = 2n; i < revision; i++) await t.world.put('/elsewhere', 'x')
        await t.world.put(KEY, leaseValue('9.9.9.9'))
        expect((await t.world.get(KEY))?.modRevision).toBe(revision)
        t.world.line.mend()
        expect(await t.changes.until(() => true)).toBe('lost')
        expect((await t.world.get(KEY))?.value).toBe(leaseValue('9.9.9.9'))
      }, 60_000)

    test('takes new attributes under the same subnet, also when the store is away for a while', async () => {
      await using t = await started(kind)
      const before = await t.world.get(KEY)
      await t.own.update(attributes(IP, { VNI: 2 }), t.world.signal)
      expect(await t.world.get(KEY)).toMatchObject({
        value: leaseValue(IP, { VNI: 2 }),
        createRevision: before?.createRevision,
        lease: before?.lease,
      })
      expect(t.own.lease.ipv4?.backendData).toEqual({ VNI: 2 })
      t.world.line.cut()
      const updating = t.own.update(attributes(IP, { VNI: 3 }), t.world.signal)
      await Bun.sleep(300)
      t.world.line.mend()
      await updating
      expect(await t.world.get(KEY)).toMatchObject({ value: leaseValue(IP, { VNI: 3 }) })
      const last = await t.changes.until(
        (c) => c !== 'lost' && JSON.stringify(c.ipv4?.backendData) === '{"VNI":3}',
      )
      expect(last).toMatchObject({ key: '10.3.7.0-24' })
    })

    test('takes another PublicIP, which is ours from then on; the former one is put right', async () => {
      await using t = await started(kind)
      const before = await t.world.get(KEY)
      await t.own.update(attributes('1.2.3.9'), t.world.signal)
      await t.own.update(attributes('1.2.3.10'), t.world.signal)
      const now = { ...before, value: leaseValue('1.2.3.10'), modRevision: (before?.modRevision ?? 0n) + 2n }
      expect(await t.world.get(KEY)).toEqual(now as never)
      expect(t.own.lease.ipv4?.publicIp as string).toBe('1.2.3.10')
      const leases = new Collector(t.world.store().leases(t.world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      for (const former of [IP, '1.2.3.9']) {
        await t.world.put(KEY, leaseValue(former))
        await leases.until((e) => e.kind === 'put' && e.lease.ipv4?.publicIp === former)
        await leases.until((e) => e.kind === 'put' && e.lease.ipv4?.publicIp === '1.2.3.10')
      }
      await t.world.put(KEY, leaseValue('9.9.9.9'))
      expect(await t.changes.until((change) => change === 'lost')).toBe('lost')
      expect((await t.world.get(KEY))?.value).toBe(leaseValue('9.9.9.9'))
    })

    test('with another PublicIP is lost to who puts the former one in a new key', async () => {
      await using t = await started(kind)
      await t.own.update(attributes('1.2.3.9'), t.world.signal)
      t.world.line.cut()
      await t.world.remove(KEY)
      await t.world.put(KEY, leaseValue(IP))
      t.world.line.mend()
      expect(await t.changes.until((change) => change === 'lost')).toBe('lost')
      expect((await t.world.get(KEY))?.value).toBe(leaseValue(IP))
    })

    test('is mended when somebody spoils its value', async () => {
      await using t = await started(kind)
      const leases = new Collector(t.world.store().leases(t.world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      for (const spoilt of ['not JSON', `{"PublicIP":"${IP}"}`]) {
        await t.world.put(KEY, spoilt)
        await leases.until(
          (e) => e.kind === 'put' && JSON.stringify(e.lease.ipv4?.backendData) === '{"VNI":1}',
        )
        // Whoever wrote it gave it no end: that is left as it is.
        expect(await t.world.get(KEY)).toMatchObject({ value: leaseValue(IP), lease: 0n })
      }
    })

    test('ends with its store, and with its own disposal, without a trace of failure', async () => {
      await using t = await started(kind)
      await t.store[Symbol.asyncDispose]()
      expect(await t.changes.end()).toBeUndefined()
      expect(t.store.reports).toEqual([])
      expect(
        await t.own.update(attributes(IP), t.world.signal).catch((e: unknown) => (e as Error).name),
      ).toBe('AbortError')
    })
  })

// Together, for most of their time is waiting.
describe.concurrent('as time goes by, our own lease', () => {
  for (const kind of ETCD_KINDS) {
    test(`in ${kind} L5, L6: outlives its TTL by renewals, unchanged in the eyes of its peers`, async () => {
      await using t = await started(kind, { ttlSeconds: 3, renewMarginMinutes: seconds(2) })
      const before = await t.world.get(KEY)
      const secondsLeft = () => ((t.own.expiresAt?.getTime() ?? NaN) - Date.now()) / 1000
      expect(secondsLeft()).toBeWithin(1, 3.1)
      const leases = new Collector(t.world.store().leases(t.world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      await Bun.sleep(5_000)
      expect(secondsLeft()).toBeWithin(0.1, 3.1)
      expect(await t.world.get(KEY)).toEqual(before)
      const life = await t.world.lifeOf(before?.lease ?? 0n)
      expect(life.granted).toBe(3)
      expect(leases.seen.length).toBe(1)
      expect(t.changes.seen).toEqual([])
    }, 60_000)

    test(`in ${kind} comes back under its subnet after an outage longer than its life`, async () => {
      await using t = await started(kind, { ttlSeconds: 2, renewMarginMinutes: seconds(1) })
      const leases = new Collector(
        t.world.store({ endpoints: [t.world.server.endpoint] }).leases(t.world.signal),
      )
      t.world.line.cut()
      await leases.until((event) => event.kind === 'delete')
      t.world.line.mend()
      expect(await t.changes.until(() => true)).toMatchObject({ key: '10.3.7.0-24' })
      expect(await leases.until((event) => event.kind === 'put')).toMatchObject({
        lease: { key: '10.3.7.0-24' },
      })
    }, 60_000)

    test(`in ${kind} becomes a reservation when somebody takes its end away, and stays one`, async () => {
      await using t = await started(kind, { ttlSeconds: 3, renewMarginMinutes: seconds(2) })
      await t.world.put(KEY, leaseValue(IP))
      await Bun.sleep(1_500)
      expect(t.own.expiresAt).toBeUndefined()
      expect(await t.world.get(KEY)).toMatchObject({ lease: 0n, value: leaseValue(IP) })
      await t.own.update(attributes(IP, { VNI: 2 }), t.world.signal)
      expect(await t.world.get(KEY)).toMatchObject({ lease: 0n, value: leaseValue(IP, { VNI: 2 }) })
    }, 60_000)

    test(`in ${kind} is renewed by the etcd lease that somebody attached it to`, async () => {
      await using t = await started(kind, { ttlSeconds: 600 })
      await t.world.put(KEY, leaseValue(IP), 3)
      const attached = await t.world.get(KEY)
      await Bun.sleep(4_500)
      expect(await t.world.get(KEY)).toEqual(attached)
      expect((await t.world.lifeOf(attached?.lease ?? 0n)).left).toBeGreaterThan(0)
    }, 60_000)
  }
})
