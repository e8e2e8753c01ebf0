// Two instances on one host, of two networks, don't see each other's objects as their own.
import { expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { type DataplaneHost, dataplaneHost, device, peer, SCOPE, soon } from '../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { type KernelObject, nexthop, route } from '../model/kernel.ts'
import type { Ownership } from './kind.ts'
import type { Reconciler } from './reconciler.ts'

const PEERS = 20

/** Behind 192.168.2.x, on flannel.2, in 10.128.0.0/9; the other instance's peers are in 10.0.0.0/9. */
function secondPeer(n: number): readonly KernelObject[] {
  const via = ip(`10.130.${n}.0`)
  const on = { link: 'flannel.2', via, onLink: true }
  return [nexthop(on), route({ ...on, to: prefix(`${via}/24`), through: 'nexthop' })]
}
const FIRST: Ownership = { ...SCOPE, networks: [prefix('10.0.0.0/9')] }
const SECOND: Ownership = { ...SCOPE, links: new Set(['flannel.2']), networks: [prefix('10.128.0.0/9')] }
const secondDevice = device({ name: 'flannel.2', mac: mac('02:00:00:00:00:02'), vxlan: { vni: 2 } })

async function bothProgrammed(host: DataplaneHost, auditMs = 60_000) {
  const instances: readonly [Reconciler, Reconciler] = [
    host.reconciler({ scope: FIRST, auditMs }),
    host.reconciler({ scope: SECOND, auditMs }),
  ]
  const [first, second] = instances
  // Both have seen the same ids free when they give them out.
  await Promise.all(instances.map((instance) => instance.settled(soon())))
  first.want('device', [device()])
  second.want('device', [secondDevice])
  for (let n = 1; n <= PEERS; n++) {
    first.want(`lease ${n}`, peer(n))
    second.want(`lease ${n}`, secondPeer(n))
  }
  for (const instance of instances) instance.complete()
  await Promise.all(instances.map((instance) => instance.settled(soon())))
  return instances
}

test('both data planes are complete, and nothing changes any more, audits included', async () => {
  await using host = await dataplaneHost()
  const [first, second] = await bothProgrammed(host, 30)
  await using _first = first
  await using _second = second
  using changes = host.changes()
  await setTimeout(150)
  expect(changes.take()).toEqual([])
  for (const instance of [first, second]) {
    expect(await instance.drift()).toEqual([])
    expect([...instance.failures]).toEqual([])
    expect(instance.report().repairs).toBe(0)
  }
  expect((await host.sh('ip route show proto 104')).trim().split('\n')).toHaveLength(2 * PEERS)
})

test('one that ends and wants nothing leaves the other’s alone', async () => {
  await using host = await dataplaneHost()
  const [first, second] = await bothProgrammed(host)
  await using _first = first
  await using _second = second
  second.forget('device')
  for (let n = 1; n <= PEERS; n++) second.forget(`lease ${n}`)
  await second.settled(soon())
  await first.settled(soon())
  expect(await first.drift()).toEqual([])
  expect(first.report().repairs).toBe(0)
  expect((await host.sh('ip nexthop; ip route')).includes('flannel.2')).toBe(false)
})

test('an id that somebody has just taken is not taken from him', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', [device()])
  reconciler.want('lease 1', peer(1))
  await reconciler.settled(soon())
  const id = Number(/id (\d+)/.exec(await host.sh('ip nexthop show'))?.[1])
  host.shAtOnce(`ip nexthop add id ${id + 1} via 192.168.5.5 dev eth0 protocol 104`)
  for (let n = 2; n <= 4; n++) reconciler.want(`lease ${n}`, peer(n))
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect([...reconciler.failures]).toEqual([])
  expect(await host.sh(`ip nexthop show id ${id + 1}`)).toContain('via 192.168.5.5')
})

test('an object of ours that somebody replaces under its id is put again', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', [device()])
  reconciler.want('lease', peer(1))
  await reconciler.settled(soon())
  const id = /id (\d+)/.exec(await host.sh('ip nexthop show'))?.[1] ?? ''
  host.shAtOnce(`ip nexthop replace id ${id} via 192.168.5.5 dev eth0 protocol 104`)
  while (reconciler.report().repairs < 2) await setTimeout(5)
  expect(await reconciler.drift()).toEqual([])
  expect(await host.sh(`ip nexthop show id ${id}`)).toContain('via 192.168.5.5')
})
