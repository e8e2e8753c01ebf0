// docs/compat.md must not rot: each file that it names is there and has the words that stand behind its name, each row
// is held by something, nothing of upstream's flags is missing, and no weak point of upstream's is forgotten.
import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { OPTIONS } from '../src/daemon/options/table.ts'

const root = join(import.meta.dirname, '..')
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')
const [behaviour = '', weakPoints = ''] = textOf('docs/compat.md').split('\n## 10 Weak points\n')
const linesOf = (text: string) => text.split('\n').filter((line) => /^\| \d/.test(line))

/** Each `path` “words” of a cell, a vertical line in the words as ¦; undefined where it is something else. */
const proofsIn = (cell: string) =>
  cell.split('; `').map((part, index) => {
    const [, file, words] = /^`([^`]+)` “(.+)”$/.exec(index === 0 ? part : `\`${part}`) ?? []
    return file === undefined || words === undefined ? undefined : { file, words: words.replaceAll('¦', '|') }
  })

/** Row, what it is about, what holds it. */
const ROW = /^\| (\d.*?) \| .*?\| (`.*) \|$/
const rows = linesOf(behaviour).map((line) => {
  const [, name = '', proofs = ''] = ROW.exec(line) ?? []
  return { name, proofs }
})

test('each row of docs/compat.md is held by words of a test, or of docs/differences.md', () => {
  expect(rows.length).toBeGreaterThan(150)
  expect(linesOf(behaviour).filter((line) => !ROW.test(line))).toEqual([])
  const missing = rows.flatMap(({ name, proofs }) =>
    proofsIn(proofs).flatMap((proof) => {
      if (proof === undefined) return [`${name}: ${proofs} names nothing`]
      const { file, words } = proof
      const known = file.endsWith('.test.ts') || file === 'docs/differences.md'
      if (!known) return [`${name}: ${file} is neither a test nor docs/differences.md`]
      return textOf(file).includes(words) ? [] : [`${name}: ${file} has no “${words}”`]
    }),
  )
  expect(missing).toEqual([])
})

test('docs/compat.md has each row once, every flag of upstream’s among them', () => {
  const names = rows.map(({ name }) => name)
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  const flags = OPTIONS.filter((option) => option.own !== true).map((option) => `1.1 \`${option.name}\``)
  expect(flags.filter((flag) => !names.includes(flag))).toEqual([])
})

describe('of the weak points of upstream’s, docs/compat.md', () => {
  const shown = linesOf(weakPoints).map((line) => {
    const [number = '', , proofs = '', seen = '', ...more] = line.slice(2, -2).split(' | ')
    return { number, proofs, seen, wellFormed: more.length === 0 && line.endsWith(' |') }
  })

  /** Whether `words` begin a title in that file. */
  const isTitle = (file: string, words: string) => {
    const quoted = words.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    return new RegExp(`(?:\\b(?:test|describe)(?:\\.\\w+)?|\\))\\(\\s*['"\`]${quoted}`).test(textOf(file))
  }

  test('names tests of that number, and tells how they were seen to fail', () => {
    const faults = shown.flatMap(({ number, proofs, seen, wellFormed }) => {
      if (!wellFormed) return [`${number}: not “| number | what | held by | seen to fail |”`]
      const told = /^(upstream|changed): .{10,}/.test(seen)
      const unseen = told ? [] : [`${number}: “${seen}” begins with neither upstream: nor changed:`]
      const unheld = proofsIn(proofs).flatMap((proof) => {
        if (proof === undefined) return [`${number}: ${proofs} names no test`]
        const { file, words } = proof
        if (!new RegExp(String.raw`\bweak points? (\d+,? (and )?)*${number}\b`).test(words))
          return [`${number}: the title “${words}” has not “weak point ${number}”`]
        return isTitle(file, words) ? [] : [`${number}: no title in ${file} begins with “${words}”`]
      })
      return [...unseen, ...unheld]
    })
    expect(faults).toEqual([])
  })

  test('has each number from 1 to 65 once, as a row or in the list of what has none', () => {
    const listed = [...weakPoints.matchAll(/^- ([\d, –]+): .{10,}$/gm)].flatMap(([, numbers = '']) =>
      numbers.split(', ').flatMap((range) => {
        const [first = NaN, last = first] = range.split('–').map(Number)
        return Array.from({ length: last - first + 1 }, (_, index) => first + index)
      }),
    )
    const all = [...shown.map(({ number }) => Number(number)), ...listed]
    expect(all.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 65 }, (_, index) => index + 1))
  })
})
