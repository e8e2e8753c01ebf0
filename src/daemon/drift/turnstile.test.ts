// Answers are fresh, shared and never two at once, whatever is asked.
import { expect, test } from 'bun:test'
import { restMs, Turnstile } from './turnstile.ts'

test('who asks gets an answer that was begun after he asked, shared with all who wait', async () => {
  const begun: PromiseWithResolvers<number>[] = []
  const turnstile = new Turnstile(() => {
    const next = Promise.withResolvers<number>()
    begun.push(next)
    return next.promise
  })
  const first = turnstile.ask()
  await Promise.resolve()
  expect(begun.length).toBe(1)
  const later = [turnstile.ask(), turnstile.ask(), turnstile.ask()]
  await Bun.sleep(5)
  expect(begun.length).toBe(1)
  begun[0]?.resolve(1)
  expect(await first).toBe(1)
  while (begun.length < 2) await Bun.sleep(1)
  begun[1]?.resolve(2)
  expect(await Promise.all(later)).toEqual([2, 2, 2])
  expect(begun.length).toBe(2)
})

test('one that fails is no reason not to try the next', async () => {
  let tries = 0
  const turnstile = new Turnstile(async () => {
    if (++tries === 1) throw new Error('no')
    return tries
  })
  expect(await turnstile.ask().catch((error: unknown) => String(error))).toBe('Error: no')
  expect(await turnstile.ask()).toBe(2)
})

test('between two answers there is a pause, in proportion to the processor time of the one before', async () => {
  const times: number[] = []
  const compute = async () => void times.push(performance.now())
  const turnstile = new Turnstile(compute, () => 50)
  for (let n = 0; n < 3; n++) await turnstile.ask()
  const [first = 0, second = 0, third = 0] = times
  // A timer may be a little early.
  expect(Math.min(second - first, third - second)).toBeGreaterThan(48)
  expect(restMs({ user: 4_000, system: 1_000 })).toBe(45)
  expect(restMs({ user: 4_000_000, system: 0 })).toBe(2_000)
})

test('who has left waits no longer; the others do, and the answer was begun once', async () => {
  const begun: PromiseWithResolvers<number>[] = []
  const turnstile = new Turnstile(() => {
    const next = Promise.withResolvers<number>()
    begun.push(next)
    return next.promise
  })
  const gone = new AbortController()
  const [leaver, stayer] = [turnstile.ask(gone.signal), turnstile.ask(new AbortController().signal)]
  gone.abort(new Error('left'))
  expect(await leaver.catch((error: unknown) => String(error))).toBe('Error: left')
  begun[0]?.resolve(1)
  expect(await stayer).toBe(1)
  expect(await turnstile.ask(gone.signal).catch((error: unknown) => String(error))).toBe('Error: left')
  expect(begun.length).toBe(1)
})
