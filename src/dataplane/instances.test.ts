// Two instances on one host, of two networks, don't see each other's objects as their own.
import { expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { type DataplaneHost, dataplaneHost, device, peer, SCOPE, soon } from '../../test/support/dataplane.ts'
import { logLines } from '../../test/support/log.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { type KernelObject, nexthop, type NftTable, route } from '../model/kernel.ts'
import { MANY } from './fights.ts'
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

/** A table of which the content is what tells two instances apart. */
const table = (priority: number): NftTable => ({
  kind: 'nft-table',
  family: 'ipv4',
  name: 'flannel-ipv4',
  chains: [{ name: 'postrtg', hook: { type: 'nat', at: 'postrouting', priority }, rules: [] }],
})

test('two that want another content of the same table say once what to do', async () => {
  await using host = await dataplaneHost()
  using log = logLines()
  const scope: Ownership = { links: new Set(), networks: [], tables: new Set(['ipv4 flannel-ipv4']) }
  await using first = host.reconciler({ scope })
  await using second = host.reconciler({ scope })
  first.want('firewall', [table(100)])
  second.want('firewall', [table(101)])
  for (const instance of [first, second]) instance.complete()
  while (first.report().repairs < 2 * MANY) await setTimeout(20)
  const told = log.lines.filter((line) => line.includes('something else keeps changing it'))
  // Each for itself; they may be of one mind, and then the log folds the second line.
  expect(told).toHaveLength(1)
  expect(told[0]).toContain('nft-table ipv4 flannel-ipv4 (firewall): ')
})

/** What reaches a peer at 192.168.3.`n` directly, through a nexthop object on the underlay that both use. */
const direct = (n: number, to: string): readonly KernelObject[] => {
  const hop = { via: ip(`192.168.3.${n}`), link: 'eth0', onLink: false } as const
  return [nexthop(hop), route({ ...hop, to: prefix(to), through: 'nexthop' })]
}

test('nexthops on an underlay that both use are removed by whom they belong to, shared ones by the last', async () => {
  await using host = await dataplaneHost()
  const nexthops = async () =>
    (await host.sh('ip nexthop show'))
      .split('\n')
      .map((line) => /via (\S+)/.exec(line)?.[1])
      .filter((via) => via !== undefined)
      .sort()
  // Left behind by a former life of the first.
  await host.sh(
    `ip nexthop add id 1744830999 via 192.168.3.9 dev eth0 protocol 104; ip route add 10.3.9.0/24 nhid 1744830999 proto 104`,
  )
  await using second = host.reconciler({ scope: SECOND })
  second.want('lease 2', direct(2, '10.131.2.0/24'))
  second.want('lease 3', direct(3, '10.131.3.0/24'))
  second.complete()
  await second.settled(soon())
  expect(await nexthops()).toEqual(['192.168.3.2', '192.168.3.3', '192.168.3.9'])
  {
    await using first = host.reconciler({ scope: FIRST })
    first.want('lease 1', direct(1, '10.3.1.0/24'))
    first.want('lease 2', direct(2, '10.3.2.0/24'))
    first.complete()
    await first.settled(soon())
    expect(await nexthops()).toEqual(['192.168.3.1', '192.168.3.2', '192.168.3.3'])
    for (const instance of [first, second]) expect(await instance.drift()).toEqual([])
    first.forget('lease 1')
    first.forget('lease 2')
    await first.settled(soon())
    expect(await first.drift()).toEqual([])
  }
  expect(await nexthops()).toEqual(['192.168.3.2', '192.168.3.3'])
  expect((await host.sh('ip route show proto 104')).trim().split('\n')).toHaveLength(2)
  expect(second.report().repairs).toBe(0)
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
