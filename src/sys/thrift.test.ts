// Memory goes back as work is done and once it is over; nothing happens where there is none.
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { Thrift } from './thrift.ts'

const RESTS = { restMs: 20, lazyMs: 200 }
const REST_MS = RESTS.restMs

/** A thrift that only counts what it would give back. */
function counting() {
  const count = { garbage: 0, pages: 0 }
  const thrift = new Thrift(RESTS, { garbage: () => count.garbage++, pages: () => count.pages++ })
  return { thrift, count }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1)
}

const fileRssKb = (): number =>
  Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])

test('pages go after each stretch of work, and once more after a while', async () => {
  const { thrift, count } = counting()
  using _ = thrift
  for (let stretch = 1; stretch <= 2; stretch++) {
    thrift.worked(1)
    await until(() => count.pages === stretch)
    await setTimeout(3 * REST_MS)
    expect(count).toEqual({ garbage: 0, pages: stretch })
  }
  await until(() => count.pages === 3)
  await setTimeout(RESTS.lazyMs + 3 * REST_MS)
  expect(count.pages).toBe(3)
})

test('much work collects garbage on the way, and what is left of it at rest', async () => {
  const { thrift, count } = counting()
  using _ = thrift
  for (let n = 0; n < 500; n++) thrift.worked(4)
  expect(count).toEqual({ garbage: 2, pages: 0 })
  await until(() => count.pages === 1)
  expect(count.garbage).toBe(3)
})

test('what is no work gives pages back too, later, and work does not wait for that', async () => {
  const { thrift, count } = counting()
  using _ = thrift
  thrift.stirred()
  await setTimeout(3 * REST_MS)
  thrift.stirred()
  expect(count.pages).toBe(0)
  await until(() => count.pages === 1)
  await setTimeout(RESTS.lazyMs + REST_MS)
  expect(count).toEqual({ garbage: 0, pages: 1 })
  const began = performance.now()
  thrift.stirred()
  thrift.worked(1)
  await until(() => count.pages === 2)
  expect(performance.now() - began).toBeLessThan(RESTS.lazyMs)
})

test('without work nothing happens, nor after disposal', async () => {
  const { thrift, count } = counting()
  await setTimeout(3 * REST_MS)
  thrift.worked(1)
  thrift[Symbol.dispose]()
  await setTimeout(3 * REST_MS)
  expect(count).toEqual({ garbage: 0, pages: 0 })
})

test('pages of this process really go', async () => {
  using thrift = new Thrift(RESTS)
  thrift.worked(1)
  // What runs meanwhile brings pages in: a megabyte less than at the look before, not less than at the start.
  let before = fileRssKb()
  await until(() => {
    const now = fileRssKb()
    const isLess = now < before - 1000
    before = now
    return isLess
  })
})
