// Every back end passes this suite; a new one adds itself to `backends` and nothing here. The plans end in the kernel.
import { describe, expect, test } from 'bun:test'
import { dataplaneHost, SCOPE, soon, UNDERLAY_IP } from '../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import type { IPv4 } from '../model/ip.ts'
import type { KernelObject } from '../model/kernel.ts'
import { leaseOf, type Lease } from '../model/lease.ts'
import type { Self, Underlay } from './backend.ts'
import { backends, configureBackend, type BackendEntry, type ConfiguredBackend } from './list.ts'

const self: Self = {
  link: 'eth0',
  mtuBytes: 1500,
  ipv4: UNDERLAY_IP as IPv4,
  publicIp: UNDERLAY_IP as IPv4,
  macOf: () => mac('02:00:00:00:00:01'),
  subnets: [prefix('10.1.0.0/24')],
  nexthopObjects: true,
}
const underlay: Underlay = { isOnLink: (_ip, link) => link === 'eth0' }

const configured = (entry: BackendEntry): ConfiguredBackend => {
  const backend = entry.configure({ Type: entry.type })
  if (typeof backend === 'string') throw new Error(backend)
  return backend
}

/** A lease as another host of this back end would publish it: by the back end's own `publish`. */
function peerOf(backend: ConfiguredBackend, n: number, its: Partial<Self> = {}): Lease {
  const theirs: Self = { ...self, macOf: () => mac(`02:00:00:00:00:1${n}`), ...its }
  return leaseOf(
    prefix(`10.1.${n}.0/24`),
    undefined,
    {
      publicIp: its.publicIp ?? (ip(`192.168.1.${n}`) as IPv4),
      publicIpv6: undefined,
      backendType: backend.type,
      backendData: backend.publish(theirs).ipv4,
      backendV6Data: undefined,
    },
    BigInt(n),
  )
}
function plan(backend: ConfiguredBackend, lease: Lease): readonly KernelObject[] {
  const reach = backend.reach(lease, self, underlay)
  if (reach.kind === 'unreachable') throw new Error(reach.reason)
  return reach.objects
}

for (const entry of backends)
  describe(`the ${entry.type} back end`, () => {
    const backend = configured(entry)

    test('the plan of a peer depends on its arguments alone', () => {
      const lease = peerOf(backend, 1)
      const first = plan(backend, lease)
      plan(backend, peerOf(backend, 2))
      expect(plan(backend, structuredClone(lease))).toEqual(first)
      expect(first.length).toBeGreaterThan(0)
    })

    test('plans of different peers share no key', async () => {
      await using host = await dataplaneHost()
      await using reconciler = host.reconciler()
      reconciler.want('devices', backend.devices(self))
      for (let n = 1; n <= 5; n++) reconciler.want(`lease ${n}`, plan(backend, peerOf(backend, n)))
      await reconciler.settled(soon())
      expect([...reconciler.failures]).toEqual([])
      expect(await reconciler.drift()).toEqual([])
    })

    test('a changed peer leaves nothing of its old objects', async () => {
      await using host = await dataplaneHost()
      const dump = async () =>
        (
          await host.sh(
            'ip -d -o link show type vxlan; ip route show proto 104; ip nexthop; ip neigh; bridge fdb',
          )
        )
          .replaceAll(/nhid \d+|id \d+ via|^\d+:/gm, '')
          .replaceAll(/(alias|ageing|link-netnsid) \S+/g, '')
      const changed = peerOf(backend, 1, {
        macOf: () => mac('02:00:00:00:00:99'),
        publicIp: ip('192.168.9.9') as IPv4,
      })
      {
        await using reconciler = host.reconciler()
        reconciler.want('devices', backend.devices(self))
        reconciler.want('peer', plan(backend, changed))
        reconciler.complete()
        await reconciler.settled(soon())
      }
      const expected = await dump()
      await using reconciler = host.reconciler()
      reconciler.want('devices', backend.devices(self))
      reconciler.want('peer', plan(backend, peerOf(backend, 1)))
      reconciler.complete()
      await reconciler.settled(soon())
      expect(await dump()).not.toBe(expected)
      reconciler.want('peer', plan(backend, changed))
      await reconciler.settled(soon())
      expect(await dump()).toBe(expected)
    })

    test('everything it plans is ours to remove', async () => {
      await using host = await dataplaneHost()
      const state = () => host.sh('ip -br link; ip -br address; ip route; ip nexthop; ip neigh; bridge fdb')
      const before = await state()
      {
        await using reconciler = host.reconciler()
        reconciler.want('devices', backend.devices(self))
        reconciler.want('peer', plan(backend, peerOf(backend, 1)))
        await reconciler.settled(soon())
      }
      await using nothing = host.reconciler({ scope: SCOPE })
      nothing.complete()
      await nothing.settled(soon())
      expect(await state()).toBe(before)
    })

    test('devices come before the lease, addresses with it', () => {
      const without = backend.devices({ ...self, subnets: [] })
      expect(without.every((object) => object.kind === 'link')).toBe(true)
      expect(backend.devices(self)).toEqual(expect.arrayContaining([...without]))
    })

    test('its own peers of another type, without an address, or with ours, are refused with a sentence', () => {
      const good = peerOf(backend, 1)
      const bad: Lease[] = [
        { ...good, backendType: 'somebody-else' },
        { ...good, ipv4: undefined },
        { ...good, ipv4: good.ipv4 && { ...good.ipv4, publicIp: undefined } },
        { ...good, ipv4: good.ipv4 && { ...good.ipv4, publicIp: self.publicIp } },
        { ...good, ipv4: good.ipv4 && { ...good.ipv4, subnet: prefix('10.1.0.0/16') } },
      ]
      for (const lease of bad) {
        const reach = backend.reach(lease, self, underlay)
        expect(reach.kind === 'unreachable' ? reach.reason.split(' ').length : 0).toBeGreaterThan(4)
      }
    })

    test('pods get no more than the underlay carries', () => {
      for (const family of ['ipv4', 'ipv6'] as const) {
        const bytes = backend.podMtuBytes(self, family)
        expect(bytes).toBeLessThanOrEqual(self.mtuBytes)
        expect(bytes).toBeGreaterThan(1280)
      }
    })
  })

test('a back end is found by its type; what is not there is refused with what is', () => {
  expect(configureBackend('vxlan', {})).toMatchObject({ type: 'vxlan' })
  expect(configureBackend('ipsec', {})).toBe(
    'there is no back end of type "ipsec"; this build has vxlan, host-gw',
  )
  expect(configureBackend('vxlan', { Port: -1 })).toContain('Backend.Port')
})
