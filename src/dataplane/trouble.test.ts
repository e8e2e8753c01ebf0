// Back-off, blocked objects, and the time that healing may take; all by given times.
import { expect, test } from 'bun:test'
import { Budget } from './budget.ts'
import { Trouble } from './trouble.ts'

test('the pause between tries doubles from 100 ms to 30 s', () => {
  const trouble = new Trouble()
  const pauses: number[] = []
  let nowMs = 1000
  for (let i = 0; i < 11; i++) {
    trouble.failed('k', 'no', nowMs)
    const nextMs = trouble.nextTryMs() ?? NaN
    pauses.push(nextMs - nowMs)
    nowMs = nextMs
  }
  expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
  expect(trouble.due(nowMs - 1)).toEqual([])
  expect(trouble.due(nowMs)).toEqual(['k'])
  trouble.clear('k')
  expect([trouble.size, trouble.nextTryMs()]).toEqual([0, undefined])
})

test('a try before its time leaves count and clock as they were', () => {
  const trouble = new Trouble()
  trouble.failed('k', 'no', 0)
  for (let nowMs = 1; nowMs < 100; nowMs++) trouble.failed('k', 'still not', nowMs)
  expect([...trouble.entries()]).toEqual([
    ['k', { reason: 'still not', tries: 1, nextTryMs: 100, on: undefined }],
  ])
  trouble.failed('k', 'no', 100)
  expect(trouble.nextTryMs()).toBe(300)
})

test('only a first failure is news', () => {
  const trouble = new Trouble()
  trouble.failed('k', 'no', 0)
  trouble.failed('k', 'no', 0)
  expect(trouble.takeNews()).toEqual([{ key: 'k', reason: 'no' }])
  expect(trouble.takeNews()).toEqual([])
})

test('what is blocked waits for its cause and for no clock', () => {
  const trouble = new Trouble()
  trouble.isBlocked('a', 'eth0', 'no link')
  trouble.isBlocked('b', 'eth0', 'no link')
  trouble.isBlocked('c', 'eth1', 'no link')
  trouble.failed('c', 'refused', 0)
  expect([trouble.blocked, trouble.failing]).toEqual([2, 1])
  expect(trouble.freed('eth0')).toEqual(['a', 'b'])
  expect(trouble.freed('eth1')).toEqual([])
  expect(trouble.blockedKeys()).toEqual(['a', 'b'])
  trouble.clear('a')
  expect(trouble.freed('eth0')).toEqual(['b'])
})

test('healing runs at once until its budget is spent, and never waits for long', () => {
  const budget = new Budget(0)
  budget.spend(1_900, 0)
  expect(budget.waitMs(0, 0)).toBe(0)
  budget.spend(120, 0)
  expect(budget.waitMs(0, 0)).toBe(200)
  expect(budget.waitMs(0, 200)).toBe(0)
  budget.spend(60_000, 200)
  expect(budget.waitMs(0, 200)).toBe(300)
  // Of one heal, however much of it has been waited for already.
  expect(budget.waitMs(120, 320)).toBe(180)
  expect(budget.waitMs(300, 500)).toBe(0)
  expect(budget.waitMs(0, 20_500)).toBe(0)
})
