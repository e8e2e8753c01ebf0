// When audits are due.
import { expect, test } from 'bun:test'
import { AuditClock } from './audit-clock.ts'

/** In how many seconds the next one is due. */
const seconds = (clock: AuditClock): number => (clock.nextMs - performance.now()) / 1000

test('audits are due every minute, of many hosts not all at once', () => {
  const all = Array.from({ length: 200 }, () => seconds(new AuditClock()))
  for (const due of all) {
    expect(due).toBeGreaterThan(50)
    expect(due).toBeLessThan(67)
  }
  expect(Math.max(...all) - Math.min(...all)).toBeGreaterThan(6)
})

test('the first one comes soon after all is known, the others again after a minute', () => {
  const clock = new AuditClock()
  clock.start()
  expect(seconds(clock)).toBeLessThan(6)
  const due = clock.nextMs
  expect(clock.strikes(due - 1)).toBe(false)
  expect(clock.strikes(due)).toBe(true)
  expect(clock.strikes(due)).toBe(false)
  expect(seconds(clock)).toBeGreaterThan(50)
})

test('no audit is later than asked for', () => {
  const clock = new AuditClock(30)
  clock.start()
  expect(seconds(clock)).toBeLessThan(0.04)
})
