// The arithmetic of the benches: what counts as met, as missed, and as too close to tell.
import { describe, expect, test } from 'bun:test'
import { judge, percentile, rounds, table, type Figure } from '../bench/measure.ts'

const figure = (heddle: readonly number[], other: readonly number[], atLeast: number): Figure => ({
  what: 'speed',
  unit: 'Gb/s',
  heddle,
  beside: { name: 'other', values: other },
  goals: [{ of: 'ratio', atLeast }],
})

describe('the verdict', () => {
  test('is met where the ratio of medians reaches the goal', () => {
    const result = judge('b', figure([9, 10, 11], [10, 10, 10], 0.98))
    expect({ ratio: result.ratio?.value, verdict: result.verdict }).toEqual({ ratio: 1, verdict: 'met' })
  })
  test('is missed where no noise explains the distance', () =>
    expect(judge('b', figure([5, 5.1, 4.9, 5], [10, 10.1, 9.9, 10], 0.98)).verdict).toBe('MISSED'))
  test('is unclear where the noise of the run is larger than the distance', () =>
    expect(judge('b', figure([8, 9.5, 11, 9.4, 10.5], [10, 9, 11, 9.8, 10], 0.98)).verdict).toBe('unclear'))
  test('of a value looks at heddle alone', () => {
    const value = (heddle: number): Figure => ({
      what: 'memory',
      unit: 'MiB',
      heddle: [heddle],
      goals: [{ of: 'value', atMost: 70 }],
    })
    expect([69, 71].map((mebibytes) => judge('b', value(mebibytes)).verdict)).toEqual(['met', 'MISSED'])
  })
})

test('percentiles are interpolated, whatever the order', () => {
  expect([0, 25, 50, 100].map((percent) => percentile([40, 10, 20, 30], percent))).toEqual([10, 17.5, 25, 40])
})

test('sides take turns, and who begins changes', async () => {
  const order: string[] = []
  const side = (name: string) => (round: number) => (order.push(`${name}${round}`), Promise.resolve(round))
  expect(await rounds(2, { a: side('a'), b: side('b') })).toEqual({ a: [0, 1], b: [0, 1] })
  expect(order).toEqual(['a0', 'b0', 'b1', 'a1'])
})

test('the table shows each figure with its ratio and verdict', () => {
  const text = table([judge('b', figure([10], [10], 0.98))])
  expect(text).toMatch(/speed +Gb\/s +10\.00 +10\.00 +other +1\.00 +ratio ≥ 0\.98 +met/)
})
