// Few changes are carried out at once; many together.
import { expect, test } from 'bun:test'
import { Pace } from './pace.ts'

/** Wishes at an even rate for some seconds, in rounds of no time: how many rounds there are in the last second, and the longest wait. */
function run(aSecond: number, seconds: number, pace = new Pace(0), fromMs = 0) {
  let rounds = 0
  let longestMs = 0
  let dueMs = Infinity
  for (let n = 0; n < aSecond * seconds; n++) {
    const nowMs = fromMs + (n * 1000) / aSecond
    if (dueMs <= nowMs) {
      pace.began(dueMs)
      if (dueMs >= fromMs + (seconds - 1) * 1000) rounds++
      dueMs = Infinity
    }
    pace.wished()
    if (dueMs !== Infinity) continue
    const waitMs = Math.max(0, pace.waitMs(nowMs))
    longestMs = Math.max(longestMs, waitMs)
    dueMs = nowMs + waitMs
  }
  return { rounds, longestMs }
}

test('a few are not kept waiting, for however long they come', () =>
  expect(run(50, 10)).toEqual({ rounds: 49, longestMs: 0 }))

test.each([200, 2000])('%d a second share rounds, none waits longer than for the next', (aSecond) => {
  const { rounds, longestMs } = run(aSecond, 10)
  expect(rounds).toBeWithin(23, 26)
  expect(longestMs).toBeLessThanOrEqual(40)
})

test('once the flood is over the next one waits no more', () => {
  const pace = new Pace(0)
  run(200, 2, pace)
  pace.began(10_000)
  expect(pace.waitMs(10_001)).toBe(0)
})
