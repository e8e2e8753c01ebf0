// What takes a device of ours, or its traffic, away: another route to a peer on it, a master, another network namespace.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, soon } from '../../test/support/dataplane.ts'
import { DEVICES, devices, NOTHING, PAIR_SCOPE, Pair, way, type Way } from '../../test/support/pair.ts'
import type { Reconciler } from './reconciler.ts'

let pair: Pair
beforeAll(async () => {
  pair = await Pair.create()
})
afterAll(() => pair[Symbol.asyncDispose]())

/** Everything for the far host is there; no audit comes to the aid of what was not heard. */
async function heddle(through: Way['through'] = 'nexthop'): Promise<Reconciler> {
  const reconciler = pair.near.reconciler({ scope: PAIR_SCOPE, auditMs: 600_000 })
  reconciler.want('device', devices(1))
  reconciler.want('lease', way(2, { by: 'tunnel', through }))
  reconciler.complete()
  await reconciler.settled(soon())
  return reconciler
}

const peer4 = '10.244.2.0/24'
const peer6 = 'fd00:244:0:2::/64'

describe('another’s route on our device, inside the network, goes by itself:', () => {
  for (const [what, command, all] of [
    ['behind ours', `ip route append ${peer4} via 10.244.9.9 dev flannel.1 onlink proto static`, peer4],
    ['before ours', `ip route prepend ${peer4} via 10.244.9.9 dev flannel.1 onlink proto static`, peer4],
    ['of a worse metric', `ip route add ${peer4} via 10.244.9.9 dev flannel.1 onlink metric 50`, peer4],
    [
      'of a better metric',
      `ip -6 route add ${peer6} via fd00:244:0:9::9 dev flannel-v6.1 onlink metric 50 proto static`,
      peer6,
    ],
    ['of no gateway', `ip -6 route add ${peer6} dev flannel-v6.1 metric 50 proto static`, peer6],
    [
      'with our mark and a better metric',
      `ip -6 route add ${peer6} via fd00:244:0:9::9 dev flannel-v6.1 onlink metric 50 proto 104`,
      peer6,
    ],
    [
      'to nobody’s subnet',
      'ip route add 10.244.91.0/24 via 10.244.91.0 dev flannel.1 onlink proto static',
      '10.244.91.0/24',
    ],
    [
      'in place of ours',
      `ip -6 route del ${peer6}; ip -6 route add ${peer6} via fd00:244:0:9::9 dev flannel-v6.1 onlink metric 50 proto static`,
      peer6,
    ],
  ] as const)
    for (const through of ['nexthop', 'plain'] as const)
      test(`${what} (ours ${through})`, async () => {
        await using reconciler = await heddle(through)
        const family = all.includes(':') ? '-6' : '-4'
        const routes = () => pair.near.sh(`ip ${family} route show exact ${all}`)
        const before = await routes()
        pair.near.shAtOnce(command)
        while (reconciler.report().repairs < 1) await setTimeout(5)
        await reconciler.settled(soon())
        expect(await routes()).toBe(before)
        expect(await reconciler.drift()).toEqual([])
        expect([...reconciler.failures]).toEqual([])
      })
})

test('such routes beyond the network, in other tables and on other links stay', async () => {
  await using reconciler = await heddle()
  const state = () => pair.near.sh('ip route show table all; ip -6 route show proto static')
  await pair.near.sh(`
    ip route add 172.31.0.0/16 via 10.244.2.0 dev flannel.1 onlink metric 50
    ip route add ${peer4} via 10.244.9.9 dev flannel.1 onlink table 100 proto 104
    ip route add ${peer4} via 192.168.0.2 metric 50; ip -6 route add ${peer6} via fd00:9::2 metric 2000 proto static`)
  const before = await state()
  reconciler.want('lease', way(2, { by: 'tunnel', through: 'plain' }))
  await reconciler.settled(soon())
  reconciler.want('lease', way(2, { by: 'tunnel', through: 'nexthop' }))
  await reconciler.settled(soon())
  expect((await state()).replace(/ nhid \d+/g, '')).toBe(before.replace(/ nhid \d+/g, ''))
  expect(await reconciler.drift()).toEqual([])
  await pair.near.sh(`
    ip route del 172.31.0.0/16; ip route flush table 100; ip route del ${peer4} metric 50
    ip -6 route del ${peer6} metric 2000`)
})

test('our device is let go at once by a bridge', async () => {
  await using reconciler = await heddle()
  const names = Object.values(DEVICES)
  const before = names.map((name) => pair.near.index(name))
  await pair.near.sh('ip link add lord type bridge; ip link set lord up')
  pair.near.shAtOnce(names.map((name) => `ip link set ${name} master lord`).join('; '))
  const taken = () => names.filter((name) => pair.near.link(name).master !== undefined)
  expect(taken()).toEqual(names)
  while (taken().length > 0) await setTimeout(5)
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect(names.map((name) => pair.near.index(name))).toEqual(before)
  expect(await pair.lossDuring(async () => undefined)).toEqual(NOTHING)
  await pair.near.sh('ip link del lord')
})

test('a device that was moved to another network namespace is told, and made anew once it is deleted there', async () => {
  await using elsewhere = await dataplaneHost()
  await using reconciler = await heddle()
  await pair.near.sh(`ip link set flannel.1 netns ${elsewhere.namespace.path}`)
  await reconciler.settled(soon())
  const failure = reconciler.failures.get('link flannel.1')
  expect(failure?.reason).toContain(
    'has been moved to another one, perhaps flannel.1 itself; delete it there',
  )
  expect(failure?.nextTry).toBeInstanceOf(Date)
  // The other family goes on.
  expect((await reconciler.drift()).filter(({ key }) => key.includes('v6'))).toEqual([])
  await elsewhere.sh('ip link del flannel.1')
  while (reconciler.failures.size > 0) await setTimeout(20)
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
})
