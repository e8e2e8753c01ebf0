// Under traffic of both families no packet is lost, whatever form the way to a peer changes to, whoever made it before,
// and whatever is called by another name.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { soon } from '../../test/support/dataplane.ts'
import {
  DEVICES,
  devices,
  NOTHING,
  PAIR_SCOPE,
  Pair,
  upstreamDevices,
  upstreamWay,
  way,
  type Way,
} from '../../test/support/pair.ts'
import type { Reconciler } from './reconciler.ts'

let pair: Pair
beforeAll(async () => {
  pair = await Pair.create()
})
afterAll(() => pair[Symbol.asyncDispose]())

/** Heddle on the near host, which knows all that is wanted. */
async function heddle(form: Way): Promise<Reconciler> {
  const reconciler = pair.near.reconciler({ scope: PAIR_SCOPE })
  reconciler.want('device', devices(1))
  reconciler.want('lease', way(2, form))
  reconciler.complete()
  await reconciler.settled(soon())
  return reconciler
}
/** Nothing of flannel is left. */
async function empty(): Promise<void> {
  await using nothing = pair.near.reconciler({ scope: PAIR_SCOPE })
  nothing.complete()
  await nothing.settled(soon())
}
const indexes = () => Object.values(DEVICES).map((name) => pair.near.index(name))

const FORMS: readonly Way[] = [
  { by: 'tunnel', through: 'plain' },
  { by: 'tunnel', through: 'nexthop' },
  { by: 'direct', through: 'plain' },
  { by: 'direct', through: 'nexthop' },
]
const named = ({ by, through }: Way) => `${by} (${through})`

describe('a way changes its form, there and back:', () => {
  for (const [i, from] of FORMS.entries())
    for (const to of FORMS.slice(i + 1))
      test(`${named(from)} and ${named(to)}`, async () => {
        await using reconciler = await heddle(from)
        const loss = await pair.lossDuring(async () => {
          for (const form of [to, from, to]) {
            reconciler.want('lease', way(2, form))
            await reconciler.settled(soon())
          }
        })
        expect(loss).toEqual(NOTHING)
        expect([...reconciler.failures]).toEqual([])
        expect(await reconciler.drift()).toEqual([])
      })
})

describe('from upstream to heddle and back:', () => {
  for (const [what, by, through] of [
    ['vxlan', 'tunnel', 'nexthop'],
    ['vxlan, without nexthop objects', 'tunnel', 'plain'],
    ['vxlan with DirectRouting, and host-gw', 'direct', 'plain'],
  ] as const)
    test(what, async () => {
      await empty()
      await pair.near.sh(`${upstreamDevices(1)}\n${upstreamWay(2, by)}`)
      const before = indexes()
      const loss = await pair.lossDuring(async () => {
        {
          await using reconciler = await heddle({ by, through })
          expect(await reconciler.drift()).toEqual([])
          expect([...reconciler.failures]).toEqual([])
        }
        // What upstream does at its start and after, where it finds all this.
        await pair.near.sh(upstreamWay(2, by))
        await using again = await heddle({ by, through })
        expect(await again.drift()).toEqual([])
      })
      expect(loss).toEqual(NOTHING)
      expect(indexes()).toEqual(before)
    })
})

test('our devices are called by other names', async () => {
  await using reconciler = await heddle({ by: 'tunnel', through: 'nexthop' })
  const before = indexes()
  const loss = await pair.lossDuring(async () => {
    await pair.near.sh(
      Object.values(DEVICES)
        .map((name, i) => `ip link set ${name} name lost${i}`)
        .join('\n'),
    )
    await reconciler.settled(soon())
  })
  expect(loss).toEqual(NOTHING)
  expect(indexes()).toEqual(before)
  expect(await reconciler.drift()).toEqual([])
})

for (const by of ['tunnel', 'direct'] as const)
  test(`the underlay is called by another name (${by})`, async () => {
    await using reconciler = await heddle({ by, through: 'plain' })
    const [before, { repairs }] = [indexes(), reconciler.report()]
    const loss = await pair.lossDuring(async () => {
      await pair.near.sh('ip link set eth0 name lan0')
      await reconciler.settled(soon())
      expect([...reconciler.failures]).toEqual([])
      expect(reconciler.report().repairs).toBe(repairs)
      expect(await reconciler.drift()).toEqual([])
      // As the daemon plans once it knows.
      reconciler.want('device', devices(1, 'lan0'))
      reconciler.want('lease', way(2, { by, through: 'plain' }, 'lan0'))
      await reconciler.settled(soon())
    })
    expect(await reconciler.drift()).toEqual([])
    expect([loss, indexes()]).toEqual([NOTHING, before])
    await pair.near.sh('ip link set lan0 name eth0')
  })
