// Answers are fresh, shared and never two at once, whatever is asked.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { Turnstile } from './turnstile.ts'

setDefaultTimeout(60_000)

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

test('the pause between answers is many times what one takes', async () => {
  let computingMs = 0
  const turnstile = new Turnstile(async () => {
    const before = process.cpuUsage()
    let spentMs = 0
    while (spentMs < 5) {
      const { user, system } = process.cpuUsage(before)
      spentMs = (user + system) / 1000
    }
    computingMs += spentMs
  })
  const started = performance.now()
  for (let n = 0; n < 5; n++) await turnstile.ask()
  expect(computingMs / (performance.now() - started)).toBeLessThan(0.2)
})
