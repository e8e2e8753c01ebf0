// A waiter that is woken by a ring, a time or a signal.
import { test } from 'bun:test'
import { Bell } from './bell.ts'

test('a bell rung before is heard; without a ring the time or the signal ends the wait', async () => {
  const bell = new Bell()
  const stop = new AbortController()
  bell.ring()
  await bell.wait(1e9, stop.signal)
  await bell.wait(1, stop.signal)
  const waiting = bell.wait(1e9, stop.signal)
  stop.abort()
  await waiting
})
