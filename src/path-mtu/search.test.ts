// The search for a path's MTU against paths that lose, break and change.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { PathSearch, type SearchRange } from './search.ts'

const RANGE: SearchRange = { topBytes: 1500, leastBytes: 602, hints: [] }

/** Runs it over a path that passes what `passes` says, by burst; the outcome, and how many bursts and packets it took. */
function run(range: SearchRange, passes: (size: number, burst: number) => boolean) {
  const search = new PathSearch(range)
  let [bursts, packets] = [0, 0]
  for (;;) {
    const step = search.next()
    if (step.kind !== 'send') return { outcome: step, bursts, packets }
    expect(step.sizes.every((size) => size <= range.topBytes)).toBe(true)
    packets += step.sizes.length
    const burst = bursts++
    for (const size of step.sizes) if (passes(size, burst)) search.answered(size)
    expect(bursts).toBeLessThan(30)
  }
}

describe('a search', () => {
  test('ends with one burst of two packets where the largest size passes', () =>
    expect(run(RANGE, () => true)).toEqual({
      outcome: { kind: 'found', bytes: 1500 },
      bursts: 1,
      packets: 2,
    }))

  test('finds any MTU to the byte', () =>
    fc.assert(
      fc.property(fc.integer({ min: 602, max: 1500 }), (mtu) => {
        const { outcome, bursts } = run(RANGE, (size) => size <= mtu)
        expect(outcome).toEqual({ kind: 'found', bytes: mtu })
        expect(bursts).toBeLessThanOrEqual(12)
      }),
    ))

  test('finds any MTU below 9000 to the byte, with hints and without', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 602, max: 9000 }),
        fc.array(fc.integer({ min: 602, max: 9000 }), { maxLength: 2 }),
        (mtu, hints) => {
          const { outcome } = run({ topBytes: 9000, leastBytes: 602, hints }, (size) => size <= mtu)
          expect(outcome).toEqual({ kind: 'found', bytes: mtu })
        },
      ),
    ))

  test('tells nothing of a path that answers nothing', () => {
    const { outcome, packets } = run(RANGE, () => false)
    expect(outcome).toEqual({ kind: 'silent' })
    expect(packets).toBe(6)
  })

  test('tells nothing of a path that breaks while it is searched', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 602, max: 1499 }), (burst, mtu) => {
        const { outcome } = run(RANGE, (size, now) => now < burst && size <= mtu)
        expect(outcome.kind === 'silent' || (outcome.kind === 'found' && outcome.bytes === mtu)).toBe(true)
      }),
    ))

  test('never tells more than passes, nor less than the largest size where that passes now and then', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 602, max: 1500 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 99 })),
        (mtu, dice) => {
          const { outcome } = run(RANGE, (size) => size <= mtu && Number(dice.next().value) >= 20)
          if (outcome.kind === 'found') expect(outcome.bytes).toBeLessThanOrEqual(mtu)
        },
      ),
    ))

  test('one lost burst makes no path smaller', () => {
    for (let lost = 0; lost < 3; lost++)
      expect(run(RANGE, (_size, burst) => burst !== lost).outcome).toEqual({ kind: 'found', bytes: 1500 })
  })

  test('a largest size that comes through late is the answer', () => {
    const { outcome } = run(RANGE, (size, burst) => size < 1400 || burst >= 3)
    expect(outcome).toEqual({ kind: 'found', bytes: 1500 })
  })

  test('tells early what passes for sure, once the largest size has failed beside it', () => {
    const search = new PathSearch({ topBytes: 1500, leastBytes: 602, hints: [1400] })
    const seen: (number | undefined)[] = []
    for (let burst = 0; burst < 4; burst++) {
      seen.push(search.provisionalBytes)
      const step = search.next()
      if (step.kind === 'send') for (const size of step.sizes) if (size <= 1413) search.answered(size)
    }
    expect(seen.slice(0, 2)).toEqual([undefined, undefined])
    expect(seen[2]).toBe(1412)
  })

  test('tells nothing early of a path that was silent for a moment', () => {
    const search = new PathSearch(RANGE)
    search.next()
    search.next()
    search.answered(602)
    expect(search.provisionalBytes).toBeUndefined()
  })
})
