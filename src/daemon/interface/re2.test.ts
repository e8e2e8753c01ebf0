// Held against Go 1.26's regexp: re2.golden.json is what it said of each expression, a digit a text (1: it matches), or
// its error.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { compileRe2 } from './re2.ts'

const golden = JSON.parse(readFileSync(`${import.meta.dirname}/re2.golden.json`, 'utf8')) as {
  readonly texts: readonly string[]
  readonly go: readonly (readonly [expression: string, result: string])[]
}

const resultOf = (expression: string): string => {
  const matches = compileRe2(expression)
  if (typeof matches === 'string') return `error: ${matches}`
  return golden.texts.map((text) => (matches(text) ? '1' : '0')).join('')
}

describe('an expression of --iface-regex', () => {
  test('is read as Go reads it', () => {
    expect(golden.go.length).toBeGreaterThan(150)
    expect(golden.go.map(([expression]) => [expression, resultOf(expression)] as const)).toEqual([
      ...golden.go,
    ])
  })

  test('of any text is a matcher or a sentence', () => {
    const odd = fc.array(fc.constantFrom(...'()[]{}|*+?\\^$.-,:<>=!PQEpidsz019aé\u{1F600}\ud800'.split('')), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(
        fc.oneof(
          odd.map((parts) => parts.join('')),
          fc.string({ unit: 'grapheme' }),
        ),
        (text) => {
          const matches = compileRe2(text)
          return typeof matches === 'string' ? matches !== '' : typeof matches('eth0') === 'boolean'
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('takes no longer for nested repetitions', () => {
    const matches = compileRe2('(?:(?:[0-9a-f:]+)*)+(?:x{0,100}){0,10}[g]$')
    expect(typeof matches === 'string' ? matches : matches(`${'fd00:'.repeat(40)}h`)).toBe(false)
  })
})
