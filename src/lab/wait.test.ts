// Waits and their deadlines; work on many things at a time.
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { each, lastLines, until } from './wait.ts'

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )
const never = new AbortController().signal

describe('a wait', () => {
  test('ends with the first answer', async () => {
    let asked = 0
    const answer = await until(() => (++asked === 3 ? 'there' : undefined), {
      deadlineMs: 5_000,
      everyMs: 1,
      signal: never,
      late: () => 'late',
    })
    expect(answer).toBe('there')
  })

  test('ends at its deadline with its own sentence', async () => {
    const wait = until(() => undefined, {
      deadlineMs: 5,
      everyMs: 1,
      signal: never,
      late: () => 'h2 is not ready',
    })
    expect(await failureOf(wait)).toMatchObject({ code: 'timeout', message: 'h2 is not ready' })
  })

  test('ends at once when interrupted', async () => {
    const stop = new AbortController()
    const wait = until(() => undefined, {
      deadlineMs: 60_000,
      everyMs: 60_000,
      signal: stop.signal,
      late: () => '',
    })
    stop.abort()
    expect(await failureOf(wait)).toMatchObject({ code: 'interrupted' })
  })
})

describe('work on many', () => {
  test('keeps its order and never does more at once than it may', async () => {
    let now = 0
    let most = 0
    const results = await each([5, 1, 4, 2, 3], 2, async (n) => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, n))
      now--
      return n * 10
    })
    expect(results).toEqual([50, 10, 40, 20, 30])
    expect(most).toBe(2)
  })

  test('ends with the first failure and begins nothing after it', async () => {
    const begun: number[] = []
    const work = each([1, 2, 3], 1, async (n) => {
      begun.push(n)
      if (n === 2) throw new Error('two')
    })
    expect(await failureOf(work)).toMatchObject({ message: 'two' })
    expect(begun).toEqual([1, 2])
  })
})

test('the end of a log is told, and where there is none that it is empty', () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-lab-test-'))
  try {
    writeFileSync(join(directory, 'a.log'), 'one\ntwo\nthree\n')
    expect(lastLines(join(directory, 'a.log'), 2)).toBe('\n  two\n  three')
    expect(lastLines(join(directory, 'none.log'))).toContain('empty')
  } finally {
    rmSync(directory, { recursive: true })
  }
})
