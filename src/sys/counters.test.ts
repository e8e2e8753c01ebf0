// Counters and gauges: values by label, snapshots that don't change, names that are used once.
import { expect, test } from 'bun:test'
import { Counters } from './counters.ts'

test('counts are kept by their labels', () => {
  const counters = new Counters()
  const heals = counters.counter('heddle_heals_total', 'Objects put back.', ['kind', 'cause'])
  heals.increment({ kind: 'route', cause: 'drift' })
  heals.add(4, { cause: 'drift', kind: 'route' })
  heals.increment({ kind: 'link', cause: 'drift' })
  expect(heals.value({ kind: 'route', cause: 'drift' })).toBe(5)
  expect(counters.snapshot()).toEqual([
    {
      name: 'heddle_heals_total',
      help: 'Objects put back.',
      type: 'counter',
      samples: [
        { labels: { kind: 'route', cause: 'drift' }, value: 5 },
        { labels: { kind: 'link', cause: 'drift' }, value: 1 },
      ],
    },
  ])
})

test('gauges are set and forgotten; a snapshot stays as it was', () => {
  const counters = new Counters()
  const peers = counters.gauge('heddle_peers', 'Leases of others.')
  peers.set(3)
  const before = counters.snapshot()
  peers.set(2)
  expect(before[0]?.samples).toEqual([{ labels: {}, value: 3 }])
  expect(peers.value()).toBe(2)
  peers.remove()
  expect(counters.snapshot()[0]?.samples).toEqual([])
})

test('a counter never goes down, and a name is good and unique', () => {
  const counters = new Counters()
  const c = counters.counter('a_total', '')
  expect(() => c.add(-1)).toThrow("can't go down")
  expect(() => counters.gauge('a_total', '')).toThrow('registered already')
  expect(() => counters.gauge('a-b', '')).toThrow('not a name')
})
