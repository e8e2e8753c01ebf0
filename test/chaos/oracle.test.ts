// Chaos is only worth something if its oracle sees: each kind of fault is done to a host whose flanneld is stopped, and
// what it breaks must be named. Going on again, flanneld heals it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { setTimeout as pause } from 'node:timers/promises'
import { generator } from '../../bench/measure.ts'
import type { Fault, Moment } from './faults/fault.ts'
import { FAULTS } from './faults/list.ts'
import { healing, silence } from './heal.ts'
import { objectTroubles } from './oracle.ts'
import type { Site } from './site.ts'
import { World } from './world.ts'

setDefaultTimeout(60_000)

/** They break nothing that anybody would have to heal: that nothing comes of them is what chaos looks at. */
const HARMLESS = ['underlay renamed', 'underlay with another MAC', 'foreign objects beside ours']
/** Ten packets. */
const SILENCE_MS = 500
const HEALED_WITHIN_MS = 15_000

describe('the oracle', () => {
  const stack = new AsyncDisposableStack()
  let world: World
  let site: Site

  beforeAll(async () => {
    world = stack.use(await World.start('etcd'))
    const [first] = world.sites
    if (first === undefined) throw new Error('the lab has no hosts')
    site = first
    await whole()
  })
  afterAll(() => stack.disposeAsync())

  async function whole(): Promise<void> {
    const { left } = await healing(world, Date.now(), HEALED_WITHIN_MS, HEALED_WITHIN_MS)
    expect(left).toEqual([])
  }

  async function until(act: AsyncGenerator<Moment, void, undefined>, moment: Moment): Promise<boolean> {
    for (;;) {
      const { done, value } = await act.next()
      if (done === true) return false
      if (value === moment) return true
    }
  }

  /** Objects that aren't as they should be, else pods that don't hear of one another any more. */
  async function harm(): Promise<string[]> {
    const sinceMs = Date.now()
    const objects = (await Promise.all(world.sites.map((one) => objectTroubles(world, one)))).flat()
    if (objects.length > 0) return objects
    await pause(SILENCE_MS)
    return silence(world, sinceMs)
  }

  const sees = (fault: Fault) =>
    test(`sees: ${fault.name}`, async () => {
      const act = fault.run({ world, site, random: generator(1), isCrowded: false })
      site.flanneld.process.signal('SIGSTOP')
      try {
        expect(await until(act, 'broken')).toBe(true)
        expect((await harm()).length).toBeGreaterThan(0)
      } finally {
        site.flanneld.process.signal('SIGCONT')
      }
      while (await until(act, 'over'));
      await whole()
    })
  test('sees nothing where nothing is broken', async () => {
    expect(await harm()).toEqual([])
  })

  test('sees that another object of other people’s is gone, or is another', async () => {
    await site.shell.run('ip route del 10.100.0.0/16; ip link set foreign0v mtu 1300')
    const seen = await harm()
    expect(seen.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual(['h1 - link', 'h1 - route'])
    expect(seen.join()).toContain('dst 10.100.0.0/16')
    await site.shell.run(
      'ip route add 10.100.0.0/16 via 203.0.0.2 proto static; ip link set foreign0v mtu 1450',
    )
    expect(await harm()).toEqual([])
  })

  FAULTS.filter(({ name }) => !HARMLESS.includes(name)).forEach(sees)
})
