// Counters, gauges and histograms: values by label, snapshots that don't change, names that are used once.
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
      labelNames: ['kind', 'cause'],
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

test('what has not happened is 0, what is not known is absent', () => {
  const counters = new Counters()
  counters.counter('a_total', '')
  counters.counter('b_total', '', ['kind'])
  counters.gauge('c', '')
  counters.reading('gauge', 'd', '', () => undefined)
  const samples = counters.snapshot().map((metric) => metric.samples)
  expect(samples).toEqual([[{ labels: {}, value: 0 }], [], [], []])
})

test('a histogram counts what is at most each bound', () => {
  const counters = new Counters()
  const rounds = counters.histogram('heddle_round_seconds', 'Rounds.', [0.01, 0.1, 1])
  for (const seconds of [0.01, 0.02, 0.5, 0.5, 7]) rounds.observe(seconds)
  const [metric] = counters.snapshot()
  expect(metric?.type).toBe('histogram')
  expect(metric?.samples).toEqual([
    {
      labels: {},
      buckets: [
        { atMost: 0.01, count: 1 },
        { atMost: 0.1, count: 2 },
        { atMost: 1, count: 4 },
      ],
      count: 5,
      sum: 8.03,
    },
  ])
  expect(() => counters.histogram('h', '', [1, 1])).toThrow('must rise')
})

test('readings are taken when they are asked for', () => {
  const counters = new Counters()
  let value = 1
  counters.reading('gauge', 'a', '', () => value)
  counters.readings('counter', 'b_total', '', ['kind'], () => [{ labels: { kind: 'route' }, value }])
  value = 2
  expect(counters.snapshot().map(({ samples }) => samples)).toEqual([
    [{ labels: {}, value: 2 }],
    [{ labels: { kind: 'route' }, value: 2 }],
  ])
})

test('a counter never goes down, and a name is good and unique', () => {
  const counters = new Counters()
  const c = counters.counter('a_total', '')
  expect(() => c.add(-1)).toThrow("can't go down")
  expect(() => counters.gauge('a_total', '')).toThrow('registered already')
  expect(() => counters.gauge('a-b', '')).toThrow('not a name')
})
