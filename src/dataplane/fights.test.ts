// A fight is told once, however long it lasts; one that begins again is told again.
import { expect, test } from 'bun:test'
import { Fights, MANY } from './fights.ts'

const MINUTE = 60_000

test('many repairs of one object within a minute are a fight, told once as long as it lasts', () => {
  const fights = new Fights()
  const told: number[] = []
  for (let ms = 0; ms < 5 * MINUTE; ms += 1000) if (fights.isFresh('route a', ms)) told.push(ms)
  expect(told).toEqual([(MANY - 1) * 1000])
})

test('repairs of many objects, or now and then, are none', () => {
  const fights = new Fights()
  for (let n = 0; n < 1000; n++) expect(fights.isFresh(`route ${n}`, n)).toBe(false)
  for (let n = 0; n < 100; n++) expect(fights.isFresh('route a', MINUTE + n * 10_000)).toBe(false)
})

test('after a quiet minute a fight is told again', () => {
  const fights = new Fights()
  const fight = (from: number) =>
    Array.from({ length: 2 * MANY }, (_, n) => fights.isFresh('a', from + n)).filter(Boolean).length
  expect([fight(0), fight(MINUTE), fight(5 * MINUTE), fight(6 * MINUTE)]).toEqual([1, 0, 1, 0])
  expect(fights.isFresh('a', 7 * MINUTE)).toBe(false)
  expect([fight(8 * MINUTE)]).toEqual([1])
})

test('a fight is under way until a minute has passed without it', () => {
  const fights = new Fights()
  for (let n = 0; n < MANY - 1; n++) fights.isFresh('a', n)
  expect(fights.underWay(MANY)).toEqual([])
  fights.isFresh('a', MANY)
  fights.isFresh('b', MANY)
  expect(fights.underWay(MANY)).toEqual(['a'])
  expect(fights.underWay(MINUTE + MANY)).toEqual(['a'])
  expect(fights.underWay(2 * MINUTE + MANY)).toEqual([])
  fights.isFresh('b', MINUTE + MANY)
  expect(fights.underWay(2 * MINUTE + MANY)).toEqual([])
})
