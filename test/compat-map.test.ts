// docs/compat.md must not rot: each file that it names is there and has the words that stand behind its name, each row
// is held by something, and nothing of upstream's flags is missing.
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { OPTIONS } from '../src/daemon/options/table.ts'

const root = join(import.meta.dirname, '..')
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')
/** Row, what it is about, what holds it. */
const ROW = /^\| (\d.*?) \| .*?\| (`.*) \|$/
const lines = textOf('docs/compat.md')
  .split('\n')
  .filter((line) => /^\| \d/.test(line))
const rows = lines.map((line) => {
  const [, name = '', proofs = ''] = ROW.exec(line) ?? []
  return { name, proofs }
})
/** `path` “words”, a vertical line in the words as ¦. */
const PROOF = /^`([^`]+)` “(.+)”$/

test('each row of docs/compat.md is held by words of a test, or of docs/differences.md', () => {
  expect(rows.length).toBeGreaterThan(150)
  expect(lines.filter((line) => !ROW.test(line))).toEqual([])
  const missing = rows.flatMap(({ name, proofs }) =>
    proofs.split('; `').flatMap((part, index) => {
      const [, file, words] = PROOF.exec(index === 0 ? part : `\`${part}`) ?? []
      if (file === undefined || words === undefined) return [`${name}: ${part} names nothing`]
      const known = file.endsWith('.test.ts') || file === 'docs/differences.md'
      if (!known) return [`${name}: ${file} is neither a test nor docs/differences.md`]
      return textOf(file).includes(words.replaceAll('¦', '|')) ? [] : [`${name}: ${file} has no “${words}”`]
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
