// Every store passes this: leases of networks with IPv6 alone, and of hosts whose network gets or loses a family.
import { describe, expect, test } from 'bun:test'
import type { IPv6 } from '../../model/ip.ts'
import { subnetsOf, type Lease, type LeaseAttributes } from '../../model/lease.ts'
import { ETCD_KINDS } from '../../../test/support/etcd.ts'
import { Collector, attributes, leaseKey, StoreWorld, wishOf } from '../../../test/support/store-world.ts'
import { ip } from '../../../test/support/values.ts'
import type { LeaseWish, OwnLease } from '../store.ts'

const V4 = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
const V6 = { EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd00:3::/48', Backend: { Type: 'vxlan' } }
const DUAL = { ...V6, ...V4, EnableIPv4: true }
const V6_DATA = { VNI: 1, VtepMAC: '2a:91:5e:07:d3:10' }

const attributesOf = (n: number, config: object): LeaseAttributes => {
  const both = attributes(`1.2.3.${n}`)
  const has6 = 'IPv6Network' in config
  const has4 = 'Network' in config
  return {
    ...both,
    ...(!has4 && { publicIp: undefined, backendData: undefined }),
    ...(has6 && { publicIpv6: ip(`2001:db8::${n}`) as IPv6, backendV6Data: V6_DATA }),
  }
}

/** Of the host with that number. */
function wish(n: number, config: object): LeaseWish {
  const told = attributesOf(n, config)
  const { publicIp, publicIpv6 } = told
  return { ...wishOf(`1.2.3.${n}`, config), publicIp, publicIpv6, attributes: () => told }
}

async function leaseOf(world: StoreWorld, n: number, config: object): Promise<Lease> {
  await using own = await world.store().acquire(wish(n, config), world.signal)
  return own.lease
}

for (const kind of ETCD_KINDS)
  describe(`a lease of IPv6 from ${kind}`, () => {
    // Upstream's second host takes the first one's, or looks for an IPv4 subnet for ever.
    test('weak point 26: without IPv4 each host has its own, in upstream’s form, and the same one again', async () => {
      await using world = await StoreWorld.start(kind)
      const first = await leaseOf(world, 1, V6)
      const second = await leaseOf(world, 2, V6)
      expect(subnetsOf(first).length).toBe(1)
      expect(first.key).toStartWith('0.0.0.0-0&fd00:3:0:')
      expect(second.ipv6?.subnet).not.toBe(first.ipv6?.subnet)
      expect((await world.get(leaseKey(first.key)))?.value).toBe(
        `{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendV6Data":${JSON.stringify(V6_DATA)}}`,
      )
      expect(await leaseOf(world, 1, V6)).toEqual(first)
      expect(await leaseOf(world, 2, V6)).toEqual(second)
      expect((await world.leaseNames()).length).toBe(2)
    })

    test('weak point 22: hosts that come at once share none', async () => {
      await using world = await StoreWorld.start(kind)
      const few = { ...V6, IPv6SubnetMax: 'fd00:3:0:8::' }
      const leases = await Promise.all(Array.from({ length: 8 }, (_, i) => leaseOf(world, i + 1, few)))
      expect(new Set(leases.map(({ ipv6 }) => ipv6?.subnet)).size).toBe(8)
      const full = await leaseOf(world, 9, few).catch((error: unknown) => error)
      expect(full).toMatchObject({ code: 'full' })
    }, 60_000)

    test('a host keeps what it has of the families that its network gets, loses and gets again', async () => {
      await using world = await StoreWorld.start(kind)
      await leaseOf(world, 2, V4)
      const v4 = await leaseOf(world, 1, V4)
      const dual = await leaseOf(world, 1, DUAL)
      expect(dual.ipv4?.subnet).toBe(v4.ipv4?.subnet)
      const v6 = await leaseOf(world, 1, V6)
      expect(v6).toMatchObject({ ipv4: undefined, ipv6: { subnet: dual.ipv6?.subnet } })
      const again = await leaseOf(world, 1, DUAL)
      expect(again.ipv6?.subnet).toBe(dual.ipv6?.subnet)
      // One key a host: what it had before goes in the same revision.
      expect((await world.leaseNames()).length).toBe(2)
    })

    describe('without IPv4', () => {
      const held = async (
        world: StoreWorld,
      ): Promise<{ own: OwnLease; changes: Collector<Lease | 'lost'> }> => {
        const own = await world.store().acquire(wish(1, V6), world.signal)
        return { own, changes: new Collector(own.changes(world.signal)) }
      }

      test('is lost to another host’s IPv6 address, and put again when it vanishes', async () => {
        await using world = await StoreWorld.start(kind)
        const { own, changes } = await held(world)
        await using _ = own
        const key = leaseKey(own.lease.key)
        const value = (await world.get(key))?.value ?? ''
        await world.remove(key)
        await changes.until((change) => change !== 'lost')
        expect((await world.get(key))?.value).toBe(value)
        await world.put(key, value.replace('2001:db8::1', '2001:db8::9'))
        await changes.until((change) => change === 'lost')
        expect((await world.get(key))?.value).toContain('2001:db8::9')
      })

      test('tells another IPv6 address under the same subnet', async () => {
        await using world = await StoreWorld.start(kind)
        const { own } = await held(world)
        await using _ = own
        const { key } = own.lease
        await own.update(attributesOf(7, V6), world.signal)
        expect(own.lease).toMatchObject({ key, ipv6: { publicIp: '2001:db8::7' } })
      })
    })
  })
