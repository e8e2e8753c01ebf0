// Environment files as systemd reads them, word lists as a shell does, and where mistakes are.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { parseEnvironmentFile } from './environment-file.ts'
import { Mistake, placeOf } from './mistake.ts'
import { splitWords } from './shell-words.ts'

const valuesOf = (text: string): Record<string, string> =>
  Object.fromEntries(parseEnvironmentFile(text).assignments.map(({ name, value }) => [name, value]))
const mistakeIn = (act: () => unknown): Mistake => {
  try {
    act()
  } catch (error) {
    if (error instanceof Mistake) return error
    throw error
  }
  throw new Error('no mistake was found')
}

describe('an environment file', () => {
  test.each([
    ['A=b', 'b'],
    ['A=', ''],
    ['  A \t= b \t', 'b'],
    ['export A=b', 'b'],
    ["A='b c'", 'b c'],
    ['A="b c"', 'b c'],
    ['A=b "c"', 'b "c"'],
    ['A="b" "c"', 'bc'],
    ['A="b" c d ', 'bc d'],
    ["A='b\\n'", 'b\\n'],
    ['A="b\\n\\"\\\\\\$\\`"', 'b\\n"\\$`'],
    ['A=b\\ ', 'b '],
    ['A=b\\c\\\\', 'bc\\'],
    ['A=b\\\nc', 'bc'],
    ['A=b\\\r\nc', 'bc'],
    ['A="b\\\nc"', 'bc'],
    ['A="b\nc"', 'b\nc'],
    ['A=b\\', 'b\\'],
    ['A=b=c', 'b=c'],
    ['A=$HOME', '$HOME'],
    ['A=b\rB=c', 'b'],
    ['A=1\nA=b', 'b'],
    ['# A=1\n; A=2\n\n \nA=b', 'b'],
    ['# goes on not \\\nA=b', 'b'],
  ])('%j has the value %j', (text, value) => expect(valuesOf(text)['A']).toBe(value))

  test('a # behind the value is part of it, and told', () => {
    expect(parseEnvironmentFile('A=b # #\nB="d" # e\nC=f#g')).toMatchObject({
      assignments: [{ value: 'b # #' }, { value: 'd# e' }, { value: 'f#g' }],
      falseComments: [4, 14],
    })
  })

  test.each([
    ['A=b\n B', 5, 'no ='],
    ['A=b\nexport B', 11, 'no ='],
    ['=b', 0, 'no name'],
    ['A-B=c', 0, 'no name'],
    ['A=b\n{"a":1}', 4, 'JSON object'],
    ['A=b\n"a": 1', 4, 'JSON object'],
    ['A="b', 2, 'never closed'],
    ["A='b\nB=c", 2, 'never closed'],
  ])('%j is a mistake at offset %d', (text, offset, word) => {
    expect(mistakeIn(() => parseEnvironmentFile(text))).toMatchObject({
      offset,
      message: expect.stringContaining(word),
    })
  })

  test('gives back any value, however it is quoted, and where each character of it is', () => {
    const quoted: readonly ((value: string) => string)[] = [
      (value) => `"${value.replace(/["\\`$]/g, '\\$&')}"`,
      (value) => `'${value.replaceAll("'", `'"'"'`)}'`,
      (value) => Array.from(value, (c) => `"${c.replace(/["\\`$]/, '\\$&')}"`).join(' '),
    ]
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(...quoted),
        fc.string(),
        (value, quote, comment) => {
          const text = `#${comment.replace(/[\r\n]/g, '')}\nA=${quote(value)}\nB=c`
          const [a, b] = parseEnvironmentFile(text).assignments
          expect(a?.value).toBe(value)
          const places = (a?.at ?? []).slice(0, -1)
          expect(places.map((offset) => text.charAt(offset)).join('')).toBe(value)
          expect(b?.value).toBe('c')
        },
      ),
    )
  })

  test('of any text is read, or has a mistake at a place in it', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('A=', '"', "'", '\\', '\n', '\r', '#', ' ', 'export ', '{', '='),
    )
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('')
        try {
          for (const { name, value, at } of parseEnvironmentFile(text).assignments) {
            expect(name).toMatch(/^\w+$/)
            expect(at.length).toBe(value.length + 1)
          }
        } catch (error) {
          if (!(error instanceof Mistake)) throw error
          expect(error.offset).toBeGreaterThanOrEqual(0)
          expect(error.offset).toBeLessThanOrEqual(text.length)
        }
      }),
    )
  })
})

describe('words', () => {
  test.each([
    ['', []],
    ['  a  b\t\nc ', ['a', 'b', 'c']],
    [`a"b c"d 'e "f' ""`, ['ab cd', 'e "f', '']],
    ['a\\ b \\"c "\\$d\\e"', ['a b', '"c', '$d\\e']],
    ['a\\\nb', ['ab']],
  ])('%j are %j', (text, words) => expect(splitWords(text).map((word) => word.text)).toEqual(words))

  test('know where they begin', () =>
    expect(splitWords(' a "b" c').map((word) => word.offset)).toEqual([1, 3, 7]))

  test.each([
    ['a "b', 2],
    ["a 'b", 2],
    ['a b\\', 3],
  ])('%j has a mistake at %d', (text, offset) =>
    expect(mistakeIn(() => splitWords(text)).offset).toBe(offset),
  )

  test('quoted, come back; any text gives words or a mistake', () => {
    const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (words) =>
        expect(splitWords(words.map(quote).join(' ')).map((word) => word.text)).toEqual(words),
      ),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          splitWords(text)
        } catch (error) {
          expect(error).toBeInstanceOf(Mistake)
        }
      }),
    )
  })
})

test('a place counts lines of every kind, and characters', () => {
  expect(placeOf('', 0)).toEqual({ line: 1, column: 1 })
  expect(placeOf('a\nb\r\nc\rd', 7)).toEqual({ line: 4, column: 1 })
  expect(placeOf('é😀x', 3)).toEqual({ line: 1, column: 3 })
})
