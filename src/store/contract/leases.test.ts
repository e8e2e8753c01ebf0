// Every store passes this: what it tells of the config and of all hosts' leases while all is well.
import { describe, expect, test } from 'bun:test'
import { ETCD_KINDS } from '../../../test/support/etcd.ts'
import {
  Collector,
  CONFIG_KEY,
  leaseKey,
  leaseValue,
  StoreWorld,
  wishOf,
} from '../../../test/support/store-world.ts'
import type { ConfigEvent, LeaseEvent } from '../store.ts'

const CONFIG = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
const nameOf = (event: LeaseEvent): string =>
  event.kind === 'put'
    ? event.lease.key
    : event.kind === 'delete'
      ? event.subnet
      : event.kind === 'rejected'
        ? event.key
        : ''

for (const kind of ETCD_KINDS) {
  describe(`the leases of ${kind}`, () => {
    test('R1, L3: come as a snapshot, then one by one as they are made, changed and deleted', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.3.5.0-24'), leaseValue('1.1.1.1'))
      const leases = new Collector(world.store().leases(world.signal))
      const snapshot = await leases.until(({ kind }) => kind === 'snapshot')
      expect(snapshot).toMatchObject({
        rejected: [],
        leases: [
          {
            key: '10.3.5.0-24',
            backendType: 'vxlan',
            ipv4: { subnet: '10.3.5.0/24', publicIp: '1.1.1.1', backendData: { VNI: 1 } },
          },
        ],
      })
      const revision = await world.put(leaseKey('10.3.30.0-24'), leaseValue('1.1.1.2'))
      expect(await leases.until(() => true)).toMatchObject({
        kind: 'put',
        lease: { key: '10.3.30.0-24', createRevision: revision },
      })
      await world.put(leaseKey('10.3.30.0-24'), leaseValue('1.1.1.3', { VNI: 2 }))
      expect(await leases.until(() => true)).toMatchObject({
        kind: 'put',
        lease: { createRevision: revision, ipv4: { publicIp: '1.1.1.3', backendData: { VNI: 2 } } },
      })
      await world.remove(leaseKey('10.3.5.0-24'))
      expect(await leases.until(() => true)).toEqual({ kind: 'delete', subnet: '10.3.5.0-24' as never })
      expect(leases.seen.length).toBe(4)
    })

    test('L4: go when they expire', async () => {
      await using world = await StoreWorld.start(kind)
      const leases = new Collector(world.store().leases(world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      await world.put(leaseKey('10.3.31.0-24'), leaseValue('1.1.1.1'), 2)
      expect(nameOf(await leases.until(({ kind }) => kind === 'put'))).toBe('10.3.31.0-24')
      expect(nameOf(await leases.until(({ kind }) => kind === 'delete'))).toBe('10.3.31.0-24')
    })

    test('hold our own among them, and several changes of one revision', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store()
      const leases = new Collector(store.leases(world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      await using own = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(nameOf(await leases.until(({ kind }) => kind === 'put'))).toBe(own.lease.key)
      await world.putAll([
        [leaseKey('10.3.40.0-24'), leaseValue('1.1.1.1')],
        [leaseKey('10.3.41.0-24'), leaseValue('1.1.1.2')],
      ])
      expect(nameOf(await leases.until(() => true))).toBe('10.3.40.0-24')
      expect(nameOf(await leases.until(() => true))).toBe('10.3.41.0-24')
    })

    test('are those that were read for acquiring ours, and go on from there: the list is asked for once', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.3.5.0-24'), leaseValue('1.1.1.1'))
      await world.put(leaseKey('10.3.6.0-24'), 'not JSON')
      const store = world.store()
      await using own = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      const leases = new Collector(store.leases(world.signal))
      await world.put(leaseKey('10.3.7.0-24'), leaseValue('1.1.1.7'))
      // Not ours: it was written after that.
      expect(await leases.until(() => true)).toMatchObject({
        kind: 'snapshot',
        leases: [{ key: '10.3.5.0-24', ipv4: { publicIp: '1.1.1.1' } }],
        rejected: [{ key: '10.3.6.0-24' }],
      })
      expect(nameOf(await leases.until(() => true))).toBe(own.lease.key)
      expect(nameOf(await leases.until(() => true))).toBe('10.3.7.0-24')
      // Who comes later asks anew.
      const later = new Collector(store.leases(world.signal))
      expect(await later.until(() => true)).toMatchObject({ leases: { length: 3 } })
    })

    test('are those of the store as it is, if it was wiped right after ours was acquired', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.3.5.0-24'), leaseValue('1.1.1.1'))
      const store = world.store()
      await using own = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      const leases = new Collector(store.leases(world.signal))
      await own[Symbol.asyncDispose]()
      await world.server.wipe()
      await world.server.up()
      await world.put(leaseKey('10.3.8.0-24'), leaseValue('1.1.1.8'))
      const isNew = (event: LeaseEvent) =>
        event.kind === 'snapshot' && event.leases.some(({ key }) => key === '10.3.8.0-24')
      await leases.until((event) => isNew(event) || nameOf(event) === '10.3.8.0-24')
      const histories = leases.seen.flatMap((event) => (event.kind === 'snapshot' ? [event.history] : []))
      expect(new Set(histories).size).toBe(2)
    }, 60_000)

    test('weak point 1: that can’t be read are rejected by name, never taken for a deletion, and may get better', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put('/coreos.com/network/subnets', 'stray')
      await world.put(leaseKey('10.3.5.0-24'), '{"PublicIP":"1.1.1.1"')
      await world.put(leaseKey('10.3.6.0-24'), leaseValue('1.1.1.2'))
      const leases = new Collector(world.store().leases(world.signal))
      const first = await leases.until(({ kind }) => kind === 'snapshot')
      if (first.kind !== 'snapshot') return expect.unreachable()
      expect(first.leases.map(({ key }) => key as string)).toEqual(['10.3.6.0-24'])
      expect(first.rejected.map(({ key }) => key)).toEqual(['/coreos.com/network/subnets', '10.3.5.0-24'])
      expect(first.rejected[0]?.reason).toContain('does not name a subnet')
      expect(first.rejected[1]?.reason).toContain(`${leaseKey('10.3.5.0-24')}: lease attributes are not JSON`)
      await world.put(leaseKey('10.3.6.0-24'), '{"PublicIP":"fe80::1"}')
      expect(await leases.until(() => true)).toMatchObject({ kind: 'rejected', key: '10.3.6.0-24' })
      await world.put(leaseKey('../config'), 'x')
      expect(await leases.until(() => true)).toMatchObject({ kind: 'rejected', key: '../config' })
      await world.put(leaseKey('10.3.5.0-24'), leaseValue('1.1.1.1'))
      expect(await leases.until(() => true)).toMatchObject({ kind: 'put', lease: { key: '10.3.5.0-24' } })
      await world.remove('/coreos.com/network/subnets')
      expect(nameOf(await leases.until(({ kind }) => kind === 'delete'))).toBe('/coreos.com/network/subnets')
    })

    test('R5: stop at once with their signal, also while nobody reads', async () => {
      await using world = await StoreWorld.start(kind)
      const stop = new AbortController()
      const idle = world.store().leases(stop.signal)[Symbol.asyncIterator]()
      await idle.next()
      await world.put(leaseKey('10.3.5.0-24'), leaseValue('1.1.1.1'))
      const waiting = new Collector(world.store().leases(stop.signal))
      await waiting.until(({ kind }) => kind === 'snapshot')
      const began = performance.now()
      stop.abort(new Error('enough'))
      const ends = [
        await waiting.end(),
        await idle
          .next()
          .then(() => idle.next())
          .catch((e: unknown) => e),
      ]
      expect(ends.map(String)).toEqual(['Error: enough', 'Error: enough'])
      expect(performance.now() - began).toBeLessThan(2_000)
    })

    test('end with the store', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store()
      const leases = new Collector(store.leases(world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      await store[Symbol.asyncDispose]()
      expect(String(await leases.end())).toContain('the store was closed')
      expect(store.reports).toEqual([])
    })

    test('come complete when there are thousands, in the snapshot and after it', async () => {
      await using world = await StoreWorld.start(kind)
      const entry = (i: number, data: string): [string, string] => [
        leaseKey(`10.${i >> 8}.${i & 255}.0-24`),
        leaseValue('1.1.1.1', { data }),
      ]
      const write = async (from: number, to: number, data: string) => {
        for (let at = from; at < to; at += 100)
          await world.putAll(Array.from({ length: Math.min(100, to - at) }, (_, i) => entry(at + i, data)))
      }
      await write(0, 2000, 'x'.repeat(100))
      const leases = new Collector(world.store().leases(world.signal))
      const first = await leases.until(({ kind }) => kind === 'snapshot')
      expect(first.kind === 'snapshot' && first.leases.length).toBe(2000)
      await write(2000, 4000, 'x'.repeat(100))
      await leases.until((event) => nameOf(event) === '10.15.159.0-24')
      const keys = leases.seen.slice(1).map(nameOf)
      expect(new Set(keys).size).toBe(2000)
      expect(keys.length).toBe(2000)
    }, 60_000)
  })

  describe(`the config of ${kind}`, () => {
    test('is missed once, then told whenever it changes', async () => {
      await using world = await StoreWorld.start(kind)
      const configs = new Collector(world.store().configs(world.signal))
      expect(await configs.until(() => true)).toEqual({ kind: 'missing', key: CONFIG_KEY })
      await world.put(CONFIG_KEY, CONFIG)
      expect(await configs.until(() => true)).toMatchObject({
        kind: 'config',
        config: { backendType: 'vxlan', ipv4: { network: '10.3.0.0/16', subnetLength: 24 } },
      })
      // Written again as it is: no change. Bad: a reason, and no config.
      await world.put(CONFIG_KEY, CONFIG)
      await world.put(CONFIG_KEY, '{"Network":"10.3.0.0/30"}')
      const bad = await configs.until(() => true)
      expect(bad).toMatchObject({ kind: 'rejected', key: CONFIG_KEY })
      expect((bad as ConfigEvent & { kind: 'rejected' }).reason).toBe(
        'network is too small. Minimum useful network prefix is /28',
      )
      await world.put(CONFIG_KEY, { ...CONFIG, Network: '10.4.0.0/16' })
      expect(await configs.until(() => true)).toMatchObject({ config: { ipv4: { network: '10.4.0.0/16' } } })
      await world.remove(CONFIG_KEY)
      expect((await configs.until(() => true)).kind).toBe('missing')
      expect(configs.seen.length).toBe(5)
    })

    test('is told at once if it is there', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(CONFIG_KEY, CONFIG)
      const configs = new Collector(world.store().configs(world.signal))
      expect((await configs.until(() => true)).kind).toBe('config')
    })
  })
}
