// The pace of looking at paths: new ones first, small ones again, and never more a second for there being thousands.
import { expect, test } from 'bun:test'
import { Agenda, PACE } from './agenda.ts'

const steady = () => 0.5
const waitOf = (next: ReturnType<Agenda<string>['next']>) => ('waitMs' in next ? next.waitMs : undefined)
const pathOf = <P>(next: { path: P } | { waitMs: number }) => ('path' in next ? next.path : undefined)

test('with nothing on it there is nothing to wait for', () =>
  expect(new Agenda<string>(PACE, 0, steady).next(0)).toEqual({ waitMs: Infinity }))

test('new paths come a burst at once, then a few a minute', () => {
  const agenda = new Agenda<number>(PACE, 0, steady)
  for (let n = 0; n < 5000; n++) agenda.fresh(n)
  const taken = (atMs: number) => {
    let count = 0
    while (pathOf(agenda.next(atMs)) !== undefined) count++
    return count
  }
  expect(taken(0)).toBe(PACE.freshBurst)
  expect(taken(600_000)).toBe(600 * PACE.freshPerSecond)
  expect(taken(1_200_000)).toBe(600 * PACE.freshPerSecond)
})

test('small ones come again before others, and what is new before both', () => {
  const agenda = new Agenda<string>(PACE, 0, steady)
  agenda.looked('wide', false, 0)
  agenda.looked('small', true, 0)
  expect(waitOf(agenda.next(0))).toBe(PACE.smallMs)
  agenda.fresh('new')
  expect(pathOf(agenda.next(PACE.smallMs))).toBe('new')
  expect(pathOf(agenda.next(PACE.smallMs))).toBe('small')
  expect(waitOf(agenda.next(PACE.smallMs))).toBe(PACE.usualMs - PACE.smallMs)
  expect(pathOf(agenda.next(PACE.usualMs))).toBe('wide')
  expect(agenda.next(PACE.usualMs)).toEqual({ waitMs: Infinity })
})

test('each is on it once, and none that was removed', () => {
  const agenda = new Agenda<string>(PACE, 0, steady)
  agenda.looked('one', true, 0)
  agenda.fresh('one')
  agenda.looked('two', false, 0)
  agenda.remove('two')
  expect(pathOf(agenda.next(0))).toBe('one')
  expect(agenda.next(10 * PACE.usualMs)).toEqual({ waitMs: Infinity })
})

test('thousands are looked at no more often than a few', () => {
  const agenda = new Agenda<number>(PACE, 0)
  for (let n = 0; n < 5000; n++) agenda.looked(n, false, 0)
  let count = 0
  const hour = 3_600_000
  for (let atMs = 0; atMs < hour; atMs += 1000)
    for (;;) {
      const path = pathOf(agenda.next(atMs))
      if (path === undefined) break
      agenda.looked(path, false, atMs)
      count++
    }
  expect(count).toBeLessThan(1.3 * (hour / PACE.usualLeastMs))
})
