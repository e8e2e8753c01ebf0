// Folding of repeats by a clock of the test's: what is told once, what is summed up, and that no change of a thing's
// state is lost.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { Folding, type Message } from './log-fold.ts'

const MINUTE_MS = 60_000
const message = (text: string, more: Partial<Message> = {}): Message => ({
  level: 'warning',
  file: 'daemon.ts',
  message: text,
  fields: {},
  ...more,
})
const DOWN = message('the store is down', { about: 'store', level: 'error' })
const BACK = message('the store answers again', { about: 'store', level: 'info' })

/** Folding with a clock that only the test moves. */
function scene() {
  const folding = new Folding(MINUTE_MS)
  let nowMs = 1000
  const lines: string[] = []
  const take = (entries: readonly { message: string }[]) =>
    lines.push(...entries.map((entry) => entry.message))
  return {
    lines,
    tell: (...messages: readonly Message[]) => messages.forEach((each) => take(folding.heed(each, nowMs))),
    pass: (ms: number) => {
      nowMs += ms
      take(folding.expire(nowMs))
    },
    flush: () => take(folding.flush(nowMs)),
    next: () => folding.nextMs,
  }
}

describe('a message that repeats', () => {
  test('is written once and summed up', () => {
    const { lines, tell, pass } = scene()
    for (let i = 0; i < 413; i++) tell(message('slow'))
    tell(message('something else'))
    expect(lines).toEqual(['slow', 'something else'])
    pass(MINUTE_MS)
    expect(lines.slice(2)).toEqual(['slow (… again 412 times in the last minute)'])
  })

  test('stays one line a window while it lasts, and is news when it comes back', () => {
    const { lines, tell, pass, next } = scene()
    tell(message('down'), message('down'))
    pass(MINUTE_MS)
    tell(message('down'))
    expect(lines).toHaveLength(2)
    pass(MINUTE_MS)
    expect(lines.at(-1)).toBe('down (… again once in the last minute)')
    pass(MINUTE_MS)
    expect(next()).toBeUndefined()
    tell(message('down'))
    expect(lines.at(-1)).toBe('down')
    expect(lines).toHaveLength(4)
  })

  test('is known by its key where its text differs; the last text is told', () => {
    const { lines, tell, flush } = scene()
    for (const n of [1, 2, 3]) tell(message(`attempt ${n} failed`, { key: 'attempt', fields: { n } }))
    tell(message('attempt 9 failed', { key: 'attempt', file: 'other.ts' }))
    flush()
    expect(lines).toEqual([
      'attempt 1 failed',
      'attempt 9 failed',
      'attempt 3 failed (… again 2 times in the last 1 ms)',
    ])
  })
})

describe('what tells the state of a thing', () => {
  test('is told each time the state changes', () => {
    const { lines, tell, pass } = scene()
    for (let i = 0; i < 3; i++) {
      tell(DOWN, DOWN, DOWN)
      pass(4000)
      tell(BACK)
      pass(4000)
    }
    const once = [
      'the store is down',
      'the store is down (… again 2 times in the last 4 s)',
      'the store answers again',
    ]
    expect(lines).toEqual([...once, ...once, ...once])
  })

  test('and goes back and forth for ever is folded too; the last line tells how it is', () => {
    const { lines, tell, pass } = scene()
    for (let i = 0; i < 500; i++) tell(DOWN, BACK)
    expect(lines.length).toBeLessThanOrEqual(12)
    const before = lines.length
    pass(MINUTE_MS)
    expect(lines.slice(before)).toEqual([
      expect.stringMatching(/^the store is down \(… again \d+ times/),
      expect.stringMatching(/^the store answers again \(… again \d+ times/),
    ])
    for (let i = 0; i < 500; i++) tell(BACK, DOWN)
    pass(MINUTE_MS)
    expect(lines.at(-1)).toStartWith('the store is down (… again')
  })

  test('is never the wrong one at the end, whatever happens', () => {
    const step = fc.oneof(
      fc.constantFrom('down', 'back').map((state) => ({ state, ms: 0 })),
      fc.integer({ min: 1, max: 90_000 }).map((ms) => ({ state: '', ms })),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { lines, tell, pass } = scene()
        let last = ''
        for (const { state, ms } of steps) {
          if (ms > 0) pass(ms)
          else tell(state === 'down' ? DOWN : BACK)
          if (ms === 0) last = state === 'down' ? DOWN.message : BACK.message
        }
        // Two windows: one may have begun just before the other's end.
        pass(MINUTE_MS)
        pass(MINUTE_MS)
        expect(lines.at(-1) ?? '').toStartWith(last)
      }),
    )
  })

  test('of another thing, or of none, changes nothing', () => {
    const { lines, tell } = scene()
    tell(DOWN, message('another'), message('the port is taken', { about: 'port' }), DOWN)
    expect(lines).toEqual(['the store is down', 'another', 'the port is taken'])
  })
})

test('nothing told is lost: lines and repeats add up to what was said', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          text: fc.constantFrom('a', 'b', 'c'),
          about: fc.constantFrom(undefined, 'x', 'y'),
          ms: fc.nat(40_000),
        }),
      ),
      (said) => {
        const { lines, tell, pass, flush } = scene()
        for (const { text, about, ms } of said) {
          tell(message(text, { about }))
          pass(ms)
        }
        flush()
        const counted = lines.map((line) => Number(/again (\d+) times/.exec(line)?.[1] ?? 1))
        expect(counted.reduce((sum, n) => sum + n, 0)).toBe(said.length)
      },
    ),
  )
})
