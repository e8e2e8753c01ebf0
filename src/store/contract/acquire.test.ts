// Every store passes this: how hosts come by their leases, alone and all at once.
import { describe, expect, test } from 'bun:test'
import { parseLease, parseSubnetKey, subnetsOf, type Lease } from '../../model/lease.ts'
import { overlaps } from '../../model/prefix.ts'
import { ETCD_KINDS } from '../../../test/support/etcd.ts'
import { attributes, leaseKey, leaseValue, StoreWorld, wishOf } from '../../../test/support/store-world.ts'
import { StoreError } from '../store.ts'

const CONFIG = {
  Network: '10.3.0.0/16',
  SubnetMin: '10.3.1.0',
  SubnetMax: '10.3.25.0',
  Backend: { Type: 'vxlan' },
}
const DAY_SECONDS = 86_400

const refusal = async (promise: Promise<unknown>): Promise<StoreError> => {
  const error = await promise.then(
    () => expect.unreachable('it worked'),
    (e: unknown) => e,
  )
  return error instanceof StoreError ? error : expect.unreachable(`not a StoreError: ${String(error)}`)
}
/** No two of them share an address. */
const expectApart = (leases: readonly Lease[]) => {
  const all = leases.flatMap((lease) => subnetsOf(lease))
  for (const [i, a] of all.entries())
    for (const b of all.slice(i + 1)) expect(`${a} and ${b}: ${overlaps(a, b)}`).toEndWith('false')
}
const inNetwork = (lease: Lease) => {
  const third = Number(lease.ipv4?.subnet.split('.')[2])
  return lease.ipv4?.subnet.startsWith('10.3.') === true && third >= 1 && third <= 25
}
const host = (i: number) => `192.168.${i >> 8}.${i & 255}`

for (const kind of ETCD_KINDS)
  describe(`acquiring a lease from ${kind}`, () => {
    /** L1's registry: four leases inside the range and one outside, all of 1.1.1.1. */
    const populated = async () => {
      const world = await StoreWorld.start(kind)
      for (const third of [1, 2, 4, 5, 31])
        await world.put(
          leaseKey(`10.3.${third}.0-24`),
          '{"PublicIP":"1.1.1.1","PublicIPv6":null}',
          DAY_SECONDS,
        )
      return world
    }

    test('L1: gives a free subnet of the range, and the same one again', async () => {
      await using world = await populated()
      const store = world.store()
      await using first = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(inNetwork(first.lease)).toBe(true)
      expect([1, 2, 4, 5].map((n) => `10.3.${n}.0/24`)).not.toContain(first.lease.ipv4?.subnet)
      await using second = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(second.lease).toEqual(first.lease)
    })

    test('gives a host its lease again at another address, if it can prove that it is its own', async () => {
      await using world = await populated()
      const store = world.store()
      const MAC = { VNI: 1, VtepMAC: '02:00:00:00:00:01' }
      const owns = (lease: Lease) => JSON.stringify(lease.ipv4?.backendData) === JSON.stringify(MAC)
      await using before = await store.acquire(wishOf('1.2.3.4', CONFIG, { backendData: MAC }), world.signal)
      await before[Symbol.asyncDispose]()
      await using after = await store.acquire(
        wishOf('1.2.3.99', CONFIG, { backendData: MAC, owns }),
        world.signal,
      )
      expect(after.lease).toMatchObject({
        key: before.lease.key,
        createRevision: before.lease.createRevision,
      })
      expect(after.lease.ipv4?.publicIp as string).toBe('1.2.3.99')
      await using other = await store.acquire(wishOf('1.2.3.4', CONFIG, { backendData: MAC }), world.signal)
      expect(other.lease.key).not.toBe(after.lease.key)
    })

    test('knows its lease by store and revision; one with its new address is the former holder’s', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store()
      const other = await store.acquire(wishOf('1.2.3.99', CONFIG), world.signal)
      await other[Symbol.asyncDispose]()
      const before = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      await before[Symbol.asyncDispose]()
      const asked: string[] = []
      const owns = ({ createRevision }: Lease, cluster: string) => {
        asked.push(cluster)
        return cluster === before.cluster && createRevision === before.lease.createRevision
      }
      await using after = await store.acquire(wishOf('1.2.3.99', CONFIG, { owns }), world.signal)
      expect(asked).toEqual([before.cluster, before.cluster])
      expect(after).toMatchObject({
        cluster: before.cluster,
        lease: { key: before.lease.key, ipv4: { publicIp: '1.2.3.99' } },
      })
      expect(await world.get(leaseKey(other.lease.key))).toMatchObject({ value: leaseValue('1.2.3.99') })
      // Nor does it give up what may be that host's, when its own no longer suits the network.
      const network = { Network: '10.4.0.0/16' }
      await after[Symbol.asyncDispose]()
      await using moved = await store.acquire(wishOf('1.2.3.5', network, { owns }), world.signal)
      expect(await world.leaseNames()).toEqual([other.lease.key, moved.lease.key])
    })

    test('L1: takes the previous subnet if it is free and allowed', async () => {
      await using world = await populated()
      const acquire = async (ip: string, previous: string) => {
        await using own = await world
          .store()
          .acquire(wishOf(ip, CONFIG, { previous: [previous] }), world.signal)
        return own.lease.ipv4?.subnet as string
      }
      expect(await acquire('1.2.3.4', '10.3.6.0/24')).toBe('10.3.6.0/24')
      expect(await acquire('1.2.3.5', '10.4.1.0/24')).not.toBe('10.4.1.0/24')
      expect(await acquire('1.2.3.6', '10.3.6.0/24')).not.toBe('10.3.6.0/24')
      expect(await acquire('1.2.3.7', '10.3.30.0/24')).not.toBe('10.3.30.0/24')
    })

    test('L2: follows a changed network, and gives the old subnet up in the same revision', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store()
      const old = await store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      await old[Symbol.asyncDispose]()
      await using own = await store.acquire(wishOf('1.2.3.4', { Network: '10.4.0.0/16' }), world.signal)
      expect(own.lease.ipv4?.subnet).toStartWith('10.4.')
      expect(await world.leaseNames()).toEqual([own.lease.key])
    })

    test('L2: keeps the IPv4 subnet when the network gets IPv6 too', async () => {
      await using world = await StoreWorld.start(kind)
      const old = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      await old[Symbol.asyncDispose]()
      const dual = { ...CONFIG, EnableIPv6: true, IPv6Network: 'fd00:3::/48' }
      await using own = await world.store().acquire(wishOf('1.2.3.4', dual), world.signal)
      expect(own.lease.ipv4?.subnet).toBe(old.lease.ipv4?.subnet)
      expect(own.lease.ipv6?.subnet).toStartWith('fd00:3:')
      expect(await world.leaseNames()).toEqual([own.lease.key])
    })

    test('R1, L6: writes upstream’s key and value, byte for byte, with a life of 24 h', async () => {
      await using world = await StoreWorld.start(kind)
      const data = { VNI: 1, VtepMAC: 'c6:d2:32:6f:8f:44' }
      const wish = wishOf('192.168.64.3', CONFIG, { backendData: data, previous: ['10.3.5.0/24'] })
      await using own = await world.store().acquire(wish, world.signal)
      const kv = await world.get('/coreos.com/network/subnets/10.3.5.0-24')
      expect(kv?.value).toBe(
        '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
      )
      expect(own.lease.createRevision).toBe(kv?.createRevision ?? 0n)
      const life = await world.lifeOf(kv?.lease ?? 0n)
      expect(life.granted).toBe(DAY_SECONDS)
      expect(life.left).toBeGreaterThan(DAY_SECONDS - 60)
    })

    test('a restart writes nothing when nothing changed, and renews the lease', async () => {
      await using world = await StoreWorld.start(kind)
      const before = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      await before[Symbol.asyncDispose]()
      const key = leaseKey(before.lease.key)
      const kv = await world.get(key)
      await using _ = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(await world.get(key)).toEqual(kv)
    })

    test('a restart with other attributes writes them under the same subnet and etcd lease', async () => {
      await using world = await StoreWorld.start(kind)
      const before = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      await before[Symbol.asyncDispose]()
      const key = leaseKey(before.lease.key)
      const old = await world.get(key)
      const seen: (Lease | undefined)[] = []
      const wish = {
        ...wishOf('1.2.3.4', CONFIG),
        attributes: (existing: Lease | undefined) => {
          seen.push(existing)
          return attributes('1.2.3.4', { VNI: 9 })
        },
      }
      await using own = await world.store().acquire(wish, world.signal)
      expect(own.lease).toMatchObject({ key: before.lease.key, createRevision: before.lease.createRevision })
      const kv = await world.get(key)
      expect(kv?.value).toBe(leaseValue('1.2.3.4', { VNI: 9 }))
      expect([kv?.lease, kv?.createRevision]).toEqual([old?.lease, old?.createRevision])
      // The lease that was ours already is shown to who makes the attributes: its VTEP MAC is kept.
      expect(seen).toEqual([before.lease])
    })

    test('a lease whose etcd lease is short gets the full life', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.3.7.0-24'), leaseValue('1.2.3.4'), 600)
      await using own = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(own.lease.key as string).toBe('10.3.7.0-24')
      const kv = await world.get(leaseKey('10.3.7.0-24'))
      expect((await world.lifeOf(kv?.lease ?? 0n)).granted).toBe(DAY_SECONDS)
    })

    test('weak point 23: a reservation is taken up and stays one, whatever else the host had', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.3.8.0-24'), leaseValue('1.2.3.4'), DAY_SECONDS)
      await world.put(leaseKey('10.3.9.0-24'), '{"PublicIP":"1.2.3.4"}')
      await using own = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(own.lease.key as string).toBe('10.3.9.0-24')
      const kv = await world.get(leaseKey('10.3.9.0-24'))
      expect(kv).toMatchObject({ lease: 0n, value: leaseValue('1.2.3.4') })
    })

    test('a reservation that doesn’t fit the network is left to its maker', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.9.9.0-24'), '{"PublicIP":"1.2.3.4"}')
      await using own = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(inNetwork(own.lease)).toBe(true)
      expect(await world.get(leaseKey('10.9.9.0-24'))).toMatchObject({
        lease: 0n,
        value: '{"PublicIP":"1.2.3.4"}',
      })
    })

    test('a lease that overlaps an older one of another host is given up: all peers send there', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.3.6.0-23'), leaseValue('9.9.9.9'))
      await world.put(leaseKey('10.3.7.0-24'), leaseValue('1.2.3.4'), 600)
      await using own = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(['10.3.6.0-24', '10.3.7.0-24']).not.toContain(own.lease.key)
      expect((await world.leaseNames()).sort()).toEqual(['10.3.6.0-23', own.lease.key as string].sort())
    })

    test('a lease that overlaps only younger ones, or what no peer uses, is kept', async () => {
      await using world = await StoreWorld.start(kind)
      await world.put(leaseKey('10.0.0.0-8'), leaseValue('9.9.9.9'))
      await world.put(leaseKey('10.3.6.0-23'), 'not JSON')
      await world.put(leaseKey('10.3.7.0-24'), leaseValue('1.2.3.4'), 600)
      await world.put(leaseKey('10.3.4.0-22'), leaseValue('9.9.9.8'))
      await using own = await world.store().acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      expect(own.lease.key as string).toBe('10.3.7.0-24')
    })

    test('keys that are no leases disturb nobody; a lease that can’t be read keeps its subnet', async () => {
      await using world = await StoreWorld.start(kind)
      const one = { ...CONFIG, SubnetMin: '10.3.1.0', SubnetMax: '10.3.2.0' }
      for (const stray of [
        '/coreos.com/network/subnets',
        '/coreos.com/network/subnetsX',
        leaseKey('x'),
        leaseKey(''),
      ])
        await world.put(stray, 'stray')
      await world.put(leaseKey('10.3.1.0-24'), 'not JSON')
      await using own = await world.store().acquire(wishOf('1.2.3.4', one), world.signal)
      expect(own.lease.key as string).toBe('10.3.2.0-24')
      const error = await refusal(world.store().acquire(wishOf('1.2.3.5', one), world.signal))
      expect(error.code).toBe('full')
      expect(error.message).toContain('out of subnets: the 2 leases')
      expect(error.message).toContain('10.3.1.0 to 10.3.2.0 in steps of /24')
    })

    test('weak point 21: twenty hosts at once on a network of twenty subnets get one each, and the next one none', async () => {
      await using world = await StoreWorld.start(kind)
      const config = { ...CONFIG, SubnetMax: '10.3.20.0' }
      const owns = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          world.store().acquire(wishOf(host(i + 1), config), world.signal),
        ),
      )
      expectApart(owns.map(({ lease }) => lease))
      expect((await world.leaseNames()).sort()).toEqual(owns.map(({ lease }) => lease.key as string).sort())
      expect((await refusal(world.store().acquire(wishOf(host(99), config), world.signal))).code).toBe('full')
      await Promise.all(owns.map((own) => own[Symbol.asyncDispose]()))
    }, 60_000)

    test('weak point 22: dual-stack hosts at once share neither family', async () => {
      await using world = await StoreWorld.start(kind)
      const dual = {
        ...CONFIG,
        SubnetMax: '10.3.12.0',
        EnableIPv6: true,
        IPv6Network: 'fd00:3::/48',
        IPv6SubnetMax: 'fd00:3:0:c::',
      }
      const owns = await Promise.all(
        Array.from({ length: 12 }, (_, i) => world.store().acquire(wishOf(host(i + 1), dual), world.signal)),
      )
      expectApart(owns.map(({ lease }) => lease))
      await Promise.all(owns.map((own) => own[Symbol.asyncDispose]()))
    }, 60_000)

    test('hosts that disagree on the subnet length, or on IPv6, still share nothing', async () => {
      await using world = await StoreWorld.start(kind)
      const network = { Network: '10.3.0.0/22', SubnetMin: '10.3.0.0' }
      const configs = [
        { ...network, SubnetLen: 26 },
        { ...network, SubnetLen: 24 },
        { ...network, SubnetLen: 25, EnableIPv6: true, IPv6Network: 'fd00:3::/48' },
      ]
      const tries = await Promise.allSettled(
        Array.from({ length: 18 }, (_, i) =>
          world.store().acquire(wishOf(host(i + 1), configs[i % 3] ?? {}), world.signal),
        ),
      )
      const held = (await world.leases()).map((kv) => {
        const name = kv.key.slice(leaseKey('').length)
        expect(parseSubnetKey(name)).toBeDefined()
        return parseLease(name, kv.value, kv.createRevision) as Lease
      })
      expect(held.length).toBe(tries.filter(({ status }) => status === 'fulfilled').length)
      expect(held.length).toBeGreaterThan(4)
      expectApart(held)
      for (const one of tries)
        if (one.status === 'fulfilled') await one.value[Symbol.asyncDispose]()
        else expect((one.reason as StoreError).code).toBe('full')
    }, 60_000)

    describe('and meanwhile another host', () => {
      /** Acquires; what `meanwhile` does happens after the store was looked at, and before anything is written. */
      const raced = async (world: StoreWorld, config: object, meanwhile: () => Promise<unknown>) => {
        const wish = wishOf('1.2.3.4', config)
        let asked = 0
        const held = Promise.withResolvers<void>()
        const attributesOf = (existing: Lease | undefined) => {
          if (asked++ === 0) {
            world.line.hold()
            held.resolve()
          }
          return wish.attributes(existing)
        }
        const acquiring = world.store().acquire({ ...wish, attributes: attributesOf }, world.signal)
        const settled = acquiring.catch((e: unknown) => e as StoreError)
        await held.promise
        await meanwhile()
        world.line.release()
        return { own: await settled, attempts: asked }
      }

      test('weak point 24: takes the key of our old lease: it stays theirs', async () => {
        await using world = await StoreWorld.start(kind)
        await world.put(leaseKey('10.3.7.0-24'), '{"PublicIP":"1.2.3.4"}', 600)
        const { own } = await raced(world, CONFIG, () =>
          world.put(leaseKey('10.3.7.0-24'), leaseValue('9.9.9.9'), 600),
        )
        if (own instanceof StoreError) return expect.unreachable(own.message)
        expect(own.lease.key as string).not.toBe('10.3.7.0-24')
        expect((await world.get(leaseKey('10.3.7.0-24')))?.value).toBe(leaseValue('9.9.9.9'))
        return own[Symbol.asyncDispose]()
      })

      test('takes the key of a lease that we would give up: it stays theirs', async () => {
        await using world = await StoreWorld.start(kind)
        await world.put(leaseKey('10.9.9.0-24'), '{"PublicIP":"1.2.3.4"}', 600)
        const { own } = await raced(world, CONFIG, () =>
          world.put(leaseKey('10.9.9.0-24'), leaseValue('9.9.9.9'), 600),
        )
        if (own instanceof StoreError) return expect.unreachable(own.message)
        expect((await world.get(leaseKey('10.9.9.0-24')))?.value).toBe(leaseValue('9.9.9.9'))
        expect(await world.leaseNames()).toEqual([own.lease.key, '10.9.9.0-24'].sort())
        return own[Symbol.asyncDispose]()
      })

      test.each([
        '10.3.1.0-24',
        '10.3.1.0-24&fd00:3:0:1::-64',
        '10.3.0.0-23',
        '10.3.1.128-25',
        '0.0.0.0-0',
        '10.0.0.0-8',
      ])('takes %s, which is or overlaps the only subnet there was: we get none', async (name) => {
        await using world = await StoreWorld.start(kind)
        const one = { ...CONFIG, SubnetMin: '10.3.1.0', SubnetMax: '10.3.1.0' }
        const { own: error } = await raced(world, one, () => world.put(leaseKey(name), leaseValue('9.9.9.9')))
        expect(error).toMatchObject({ code: 'full' })
        expect(await world.leaseNames()).toEqual([name])
      })

      test('takes another subnet: we are not disturbed', async () => {
        await using world = await StoreWorld.start(kind)
        const one = { ...CONFIG, SubnetMin: '10.3.1.0', SubnetMax: '10.3.1.0' }
        const { own, attempts } = await raced(world, one, () =>
          world.put(leaseKey('10.3.2.0-24'), leaseValue('9.9.9.9')),
        )
        if (own instanceof StoreError) return expect.unreachable(own.message)
        expect([own.lease.key as string, attempts]).toEqual(['10.3.1.0-24', 1])
        return own[Symbol.asyncDispose]()
      })
    })

    test('waits for a store that is away, tells it once, and ends with its signal', async () => {
      await using world = await StoreWorld.start(kind)
      world.line.cut()
      const store = world.store()
      const acquiring = store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      await Bun.sleep(700)
      expect(store.reports.map((e) => e?.code)).toStrictEqual(['unavailable'])
      expect([...store.troubles.keys()]).toEqual(['acquire'])
      world.line.mend()
      await using own = await acquiring
      expect(inNetwork(own.lease)).toBe(true)
      expect(store.reports.at(-1)).toBeUndefined()
      world.line.cut()
      const stop = new AbortController()
      const other = world.store().acquire(wishOf('1.2.3.5', CONFIG), stop.signal)
      setTimeout(() => stop.abort(new Error('enough')), 100)
      expect(String(await other.catch((e: unknown) => e))).toContain('enough')
    })
  })
