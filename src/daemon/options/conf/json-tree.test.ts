// JSON with places: what is JSON to the runtime is JSON here, and what is not has a mistake in it.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { membersOf, parseJsonObject, valueOf } from './json-tree.ts'
import { Mistake } from './mistake.ts'

const mistakeIn = (text: string): Mistake | undefined => {
  try {
    parseJsonObject(text)
    return undefined
  } catch (error) {
    if (error instanceof Mistake) return error
    throw error
  }
}

describe('a JSON object', () => {
  for (const [text, offset, word] of [
    ['{"a" 1}', 5, 'want a :'],
    ['{"a":}', 5, 'want a value'],
    ['{"a":1,}', 7, 'want a name'],
    ['{"a":1 "b":2}', 7, 'want a ,'],
    ['{"a":[1}', 7, 'want a ,'],
    ['{"a":[1', 7, 'want a ]'],
    ['{"a":1', 6, 'want a }'],
    ['{"a":1}x', 7, 'behind the end'],
    ['{"a":1}\nFLANNELD_V=1', 8, 'behind the end'],
    ['{a:1}', 1, 'double quotes'],
    ["{'a':1}", 1, 'double quotes'],
    ['{"a":"b', 5, 'no " at its end'],
    ['{"a":"\\u12"}', 5, '\\u'],
    ['{"a":"\t"}', 5, 'control character'],
    ['{"a":1.}', 5, 'no number'],
    ['{"a":NaN}', 5, 'no JSON'],
    ['{/**/}', 1, 'no comments'],
    ['[]', 0, 'one JSON object'],
    [`{"a":${'['.repeat(1e5)}`, 54, 'nested deeper than 50'],
    [`{"a":"${'\\"['.repeat(1e5)}"}x`, 300_008, 'behind the end'],
  ] as const)
    test(`${text.slice(0, 30)} is none, at offset ${offset}`, () =>
      expect(mistakeIn(text)).toMatchObject({ offset, message: expect.stringContaining(word) }))

  const json = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })).map((value) => JSON.stringify(value))
  test('gives each member back, and where it is', () => {
    fc.assert(
      fc.property(json, (text) => {
        const members = membersOf(parseJsonObject(text))
        const again = Object.fromEntries(members.map(({ name, value }) => [name, valueOf(text, value)]))
        expect(again).toEqual(JSON.parse(text) as typeof again)
        for (const { name, offset } of members) expect(text.slice(offset)).toStartWith(JSON.stringify(name))
      }),
    )
  })

  test('is what JSON.parse takes, however it is cut and altered; else there is a mistake at a place in it', () => {
    const altered = fc
      .tuple(json, fc.nat(60), fc.nat(4), fc.string({ maxLength: 3 }))
      .map(([text, from, length, put]) => text.slice(0, from) + put + text.slice(from + length))
    fc.assert(
      fc.property(altered, (text) => {
        let value: unknown
        try {
          value = JSON.parse(text)
        } catch {
          value = undefined
        }
        const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
        const mistake = mistakeIn(text)
        expect(mistake === undefined).toBe(isObject)
        expect(mistake?.offset ?? 0).toBeLessThanOrEqual(text.length)
      }),
      { numRuns: 2000 },
    )
  })
})
