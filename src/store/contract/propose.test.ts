// Every store passes this: a network config is proposed only where there is none, whoever else proposes one.
import { describe, expect, test } from 'bun:test'
import { ETCD_KINDS } from '../../../test/support/etcd.ts'
import { eventually } from '../../../test/support/process.ts'
import { Collector, CONFIG_KEY, StoreWorld } from '../../../test/support/store-world.ts'

const config = (network: string): string => JSON.stringify({ Network: network, Backend: { Type: 'vxlan' } })
const ONE = config('10.3.0.0/16')
const OTHER = config('10.4.0.0/16')

for (const kind of ETCD_KINDS) {
  describe(`a network config proposed to ${kind}`, () => {
    test('is put where there is none, without an end, and all hosts hear of it', async () => {
      await using world = await StoreWorld.start(kind)
      const configs = new Collector(world.store().configs(world.signal))
      await configs.until(({ kind }) => kind === 'missing')
      expect(await world.store().proposeConfig(ONE, world.signal)).toBe(true)
      expect(await world.get(CONFIG_KEY)).toMatchObject({ value: ONE, lease: 0n })
      expect(await configs.until(({ kind }) => kind === 'config')).toMatchObject({
        config: { ipv4: { network: '10.3.0.0/16' } },
      })
    })

    test('leaves one that is there as it is, whatever it says', async () => {
      await using world = await StoreWorld.start(kind)
      for (const there of [ONE, OTHER, 'no JSON', '']) {
        const revision = await world.put(CONFIG_KEY, there)
        expect(await world.store().proposeConfig(ONE, world.signal)).toBe(false)
        expect(await world.get(CONFIG_KEY)).toMatchObject({ value: there, modRevision: revision })
      }
    })

    test('is put again once the one that was there is gone', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store()
      expect(await store.proposeConfig(ONE, world.signal)).toBe(true)
      await world.remove(CONFIG_KEY)
      expect(await store.proposeConfig(OTHER, world.signal)).toBe(true)
      expect((await world.get(CONFIG_KEY))?.value).toBe(OTHER)
    })

    test('by twenty hosts at once is one host’s', async () => {
      await using world = await StoreWorld.start(kind)
      const texts = Array.from({ length: 20 }, (_, i) => config(`10.${i}.0.0/16`))
      const done = await Promise.all(texts.map((text) => world.store().proposeConfig(text, world.signal)))
      expect(done.filter(Boolean).length).toBe(1)
      expect((await world.get(CONFIG_KEY))?.value).toBe(texts[done.indexOf(true)] ?? '')
    })

    test('waits while nobody answers, and ends with the signal', async () => {
      await using world = await StoreWorld.start(kind)
      const store = world.store({ deadlineMs: 300 })
      world.line.cut()
      const stop = new AbortController()
      const given = store.proposeConfig(OTHER, stop.signal).catch((error: unknown) => error)
      const proposed = store.proposeConfig(ONE, world.signal)
      await eventually('its trouble is told', () => store.reports.length > 0 || undefined)
      stop.abort(new Error('enough'))
      expect(await given).toEqual(new Error('enough'))
      world.line.mend()
      expect(await proposed).toBe(true)
      expect((await world.get(CONFIG_KEY))?.value).toBe(ONE)
    })
  })
}
