// Waits end with their signal, with its reason, whatever is left of them.
import { describe, expect, test } from 'bun:test'
import { Backoff, Pace, untilAborted } from './wait.ts'

const HOUR_MS = 3_600_000
const enough = new Error('enough')

describe('weak point 27: a wait ends at once with its signal:', () => {
  /** A turn that has to wait for an hour. */
  const laterTurn = async (signal: AbortSignal) => {
    const pace = new Pace(HOUR_MS, HOUR_MS, HOUR_MS)
    await pace.turn(signal)
    pace.done()
    await pace.turn(signal)
  }
  const waits: readonly (readonly [string, (signal: AbortSignal) => Promise<unknown>])[] = [
    ['a pause between attempts', (signal) => new Backoff(HOUR_MS, HOUR_MS).pause(signal)],
    ['a turn that is not ours yet', laterTurn],
    ['what may never come', (signal) => untilAborted(new Promise(() => undefined), signal)],
  ]
  test.each(waits)('%s', async (_, wait) => {
    const stop = new AbortController()
    const waiting = wait(stop.signal).catch((error: unknown) => error)
    await Bun.sleep(5)
    stop.abort(enough)
    expect(await waiting).toBe(enough)
    expect(await wait(AbortSignal.abort(enough)).catch((error: unknown) => error)).toBe(enough)
  })
})

test('the first turn is at once, and again after a while without any', async () => {
  const { signal } = new AbortController()
  const pace = new Pace(HOUR_MS, HOUR_MS, 0)
  for (let turns = 0; turns < 3; turns++) {
    await pace.turn(signal)
    pace.done()
    await Bun.sleep(2)
  }
})
