// Every back end passes this suite, with each family alone and with both; a new one adds itself to `backends` and nothing
// here. One that lacks a family refuses it with a sentence. The plans end in the kernel.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { dataplaneHost, soon, UNDERLAY_IP, type DataplaneHost } from '../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import type { Ownership } from '../dataplane/kind.ts'
import type { Family, IPv4, IPv6 } from '../model/ip.ts'
import type { KernelObject } from '../model/kernel.ts'
import { leaseOf, type Json, type Lease } from '../model/lease.ts'
import type { Mac } from '../model/mac.ts'
import { familyOfPrefix } from '../model/prefix.ts'
import type { Self, Underlay } from './backend.ts'
import { backends, configureBackend, type BackendEntry, type ConfiguredBackend } from './list.ts'

const UNDERLAY_IPV6 = ip('fd00:1::1') as IPv6
const BOTH: Self = {
  link: 'eth0',
  mtuBytes: 1500,
  ipv4: { address: UNDERLAY_IP as IPv4, publicIp: UNDERLAY_IP as IPv4 },
  ipv6: { address: UNDERLAY_IPV6, publicIp: UNDERLAY_IPV6 },
  macOf: () => mac('02:00:00:00:00:01'),
  subnets: [prefix('10.1.0.0/24'), prefix('fd00:5::/64')],
  nexthopUse: 'tunnels',
}
const FAMILIES = ['ipv4', 'ipv6'] as const
const only = (self: Self, family: Family): Self => ({
  ...self,
  [family === 'ipv4' ? 'ipv6' : 'ipv4']: undefined,
  subnets: self.subnets.filter((subnet) => familyOfPrefix(subnet) === family),
})
const STACKS: readonly (readonly [string, Self])[] = [
  ['IPv4 alone', only(BOTH, 'ipv4')],
  ['IPv6 alone', only(BOTH, 'ipv6')],
  ['both families', BOTH],
]
const underlay: Underlay = { isOnLink: (_ip, link) => link === 'eth0' }

const configured = (entry: BackendEntry): ConfiguredBackend => {
  const backend = entry.configure({ Type: entry.type })
  if (typeof backend === 'string') throw new Error(backend)
  return backend
}

interface Theirs {
  readonly mac?: Mac
  readonly publicIp?: IPv4
  readonly publicIpv6?: IPv6
}

/** A lease as another host of this back end would publish it, of both families: by the back end's own `publish`. */
function peerOf(backend: ConfiguredBackend, n: number, stack = BOTH, its: Theirs = {}): Lease {
  const publicIp = its.publicIp ?? (ip(`192.168.1.${n}`) as IPv4)
  const publicIpv6 = its.publicIpv6 ?? (ip(`fd00:1::1:${n}`) as IPv6)
  const theirs: Self = {
    ...stack,
    ipv4: stack.ipv4 && { address: publicIp, publicIp },
    ipv6: stack.ipv6 && { address: publicIpv6, publicIp: publicIpv6 },
    macOf: () => its.mac ?? mac(`02:00:00:00:00:1${n}`),
  }
  const data = backend.publish(theirs)
  return leaseOf(
    stack.ipv4 && prefix(`10.1.${n}.0/24`),
    stack.ipv6 && prefix(`fd00:5:0:${n}::/64`),
    {
      publicIp: theirs.ipv4?.publicIp,
      publicIpv6: theirs.ipv6?.publicIp,
      backendType: backend.type,
      backendData: data.ipv4,
      backendV6Data: data.ipv6,
    },
    BigInt(n),
  )
}
function plan(backend: ConfiguredBackend, lease: Lease, self: Self): readonly KernelObject[] {
  const { objects, refusals } = backend.reach(lease, self, underlay)
  expect(refusals).toEqual([])
  return objects
}

const scopeOf = (backend: ConfiguredBackend, self: Self): Ownership => ({
  links: new Set(backend.devices(self).flatMap((object) => (object.kind === 'link' ? [object.name] : []))),
  networks: [prefix('10.0.0.0/8'), prefix('fd00:5::/32')],
  tables: new Set(),
})

/** With both families on its underlay; without link-local addresses, which come and go by themselves. */
async function dualHost(): Promise<DataplaneHost> {
  const host = await dataplaneHost()
  await host.sh(
    `for each in all default eth0 eth0-peer; do echo 1 > /proc/sys/net/ipv6/conf/$each/addr_gen_mode; done
     sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
     ip addr add ${UNDERLAY_IPV6}/64 dev eth0 nodad`,
  )
  return host
}

for (const entry of backends)
  for (const [stack, self] of STACKS)
    describe(`the ${entry.type} back end with ${stack}`, () => {
      const backend = configured(entry)
      const refusal = backend.refuses(self)
      if (refusal !== undefined) {
        test('refuses to run, with a sentence', () => expect(refusal.split(' ').length).toBeGreaterThan(4))
        return
      }
      const families = FAMILIES.filter((family) => self[family] !== undefined)
      const scope = scopeOf(backend, self)

      test('the plan of a peer depends on its arguments alone', () => {
        const lease = peerOf(backend, 1)
        const first = plan(backend, lease, self)
        plan(backend, peerOf(backend, 2), self)
        expect(plan(backend, structuredClone(lease), self)).toEqual(first)
        expect(first.length).toBeGreaterThan(0)
      })

      test('plans of different peers share no key', async () => {
        await using host = await dualHost()
        await using reconciler = host.reconciler({ scope })
        reconciler.want('devices', backend.devices(self))
        for (let n = 1; n <= 5; n++) reconciler.want(`lease ${n}`, plan(backend, peerOf(backend, n), self))
        await reconciler.settled(soon())
        expect([...reconciler.failures]).toEqual([])
        expect(await reconciler.drift()).toEqual([])
      })

      test('a changed peer leaves nothing of its old objects', async () => {
        await using host = await dualHost()
        const dump = async () =>
          (
            await host.sh(
              `ip -d -o link show type vxlan; ip route show proto 104; ip -6 route show proto 104
               ip nexthop; ip neigh show nud permanent; bridge fdb | sed '/^33:33/d'`,
            )
          )
            .replaceAll(/nhid \d+|id \d+ via|^\d+:/gm, '')
            .replaceAll(/(alias|ageing|link-netnsid) \S+/g, '')
        const changed = peerOf(backend, 1, BOTH, {
          mac: mac('02:00:00:00:00:99'),
          publicIp: ip('192.168.9.9') as IPv4,
          publicIpv6: ip('fd00:1::9:9') as IPv6,
        })
        {
          await using reconciler = host.reconciler({ scope })
          reconciler.want('devices', backend.devices(self))
          reconciler.want('peer', plan(backend, changed, self))
          reconciler.complete()
          await reconciler.settled(soon())
        }
        const expected = await dump()
        await using reconciler = host.reconciler({ scope })
        reconciler.want('devices', backend.devices(self))
        reconciler.want('peer', plan(backend, peerOf(backend, 1), self))
        reconciler.complete()
        await reconciler.settled(soon())
        expect(await dump()).not.toBe(expected)
        reconciler.want('peer', plan(backend, changed, self))
        await reconciler.settled(soon())
        expect(await dump()).toBe(expected)
      })

      test('everything it plans is ours to remove', async () => {
        await using host = await dualHost()
        const state = () =>
          host.sh(
            'ip -br link; ip -br address; ip route; ip -6 route; ip nexthop; ip neigh show nud permanent; bridge fdb | sed /^33:33/d',
          )
        const before = await state()
        {
          await using reconciler = host.reconciler({ scope })
          reconciler.want('devices', backend.devices(self))
          reconciler.want('peer', plan(backend, peerOf(backend, 1), self))
          await reconciler.settled(soon())
        }
        await using nothing = host.reconciler({ scope })
        nothing.complete()
        await nothing.settled(soon())
        expect(await state()).toBe(before)
      })

      test('devices come before the lease, addresses with it', () => {
        const without = backend.devices({ ...self, subnets: [] })
        expect(without.every((object) => object.kind === 'link')).toBe(true)
        expect(backend.devices(self)).toEqual(expect.arrayContaining([...without]))
      })

      test('publishes data of the families in use alone', () => {
        const data = backend.publish(self)
        for (const family of FAMILIES) if (self[family] === undefined) expect(data[family]).toBeUndefined()
      })

      test('what must be one host’s alone differs from host to host; garbage has none of it', () => {
        for (const family of families) {
          const uniqueOf = (n: number) => backend.unique(peerOf(backend, n)[family]?.backendData)
          expect(uniqueOf(1)).toBe(uniqueOf(1))
          if (uniqueOf(1) !== undefined) expect(uniqueOf(1)).not.toBe(uniqueOf(2))
        }
        expect(backend.unique(undefined)).toBeUndefined()
        fc.assert(fc.property(fc.jsonValue(), (data) => backend.unique(data as Json) === undefined))
      })

      test('what it plans is of the families in use alone, and of the common ones with peers that have others', () => {
        for (const family of families)
          expect(backend.reach(peerOf(backend, 1, only(BOTH, family)), self, underlay).objects).toEqual(
            plan(backend, peerOf(backend, 1), only(self, family)) as KernelObject[],
          )
      })

      test('a peer of another type is refused in all families, with a sentence', () => {
        const { objects, refusals } = backend.reach(
          { ...peerOf(backend, 1), backendType: 'somebody-else' },
          self,
          underlay,
        )
        expect(objects).toEqual([])
        expect(refusals.map(({ family }) => family)).toEqual([...families])
        for (const { reason } of refusals) expect(reason.split(' ').length).toBeGreaterThan(4)
      })

      test('a peer’s half that is missing, without an address, with ours or over our subnet is refused, the other kept', () => {
        for (const family of families) {
          const good = peerOf(backend, 1)
          const half = good[family] ?? expect.unreachable()
          const own = self[family]?.publicIp
          const [subnet, others] = [
            prefix(family === 'ipv4' ? '10.1.0.0/16' : 'fd00:5::/48'),
            families.filter((other) => other !== family),
          ]
          for (const bad of [
            undefined,
            { ...half, publicIp: undefined },
            { ...half, publicIp: own },
            { ...half, subnet },
          ]) {
            const { objects, refusals } = backend.reach({ ...good, [family]: bad }, self, underlay)
            expect(refusals.map((refusal) => refusal.family)).toEqual([family])
            expect(refusals[0]?.reason.split(' ').length).toBeGreaterThan(4)
            expect(objects).toEqual(others.flatMap((other) => plan(backend, good, only(self, other))))
          }
        }
      })

      test('whatever a peer publishes for one family leaves the other as it is', () => {
        for (const family of families) {
          const good = peerOf(backend, 1)
          const half = good[family] ?? expect.unreachable()
          const others = families.filter((other) => other !== family)
          const kept = others.flatMap((other) => plan(backend, good, only(self, other)))
          fc.assert(
            fc.property(fc.jsonValue(), (data) => {
              const lease = { ...good, [family]: { ...half, backendData: data as Json } } as Lease
              expect(backend.reach(lease, self, underlay).objects).toEqual(expect.arrayContaining(kept))
            }),
            { numRuns: 50 },
          )
        }
      })

      test('pods get no more than the underlay carries, of all families in use', () => {
        const bytes = backend.podMtuBytes(self)
        expect(bytes).toBeLessThanOrEqual(self.mtuBytes)
        expect(bytes).toBeGreaterThanOrEqual(1280)
        expect(bytes).toBe(Math.min(...families.map((family) => backend.podMtuBytes(only(self, family)))))
      })
    })

test('a back end is found by its type; what is not there is refused with what is', () => {
  expect(configureBackend('vxlan', {})).toMatchObject({ type: 'vxlan' })
  expect(configureBackend('ipsec', {})).toBe(
    'there is no back end of type "ipsec"; this build has vxlan, host-gw',
  )
  expect(configureBackend('vxlan', { Port: -1 })).toContain('Backend.Port')
})
