// Go's flag syntax, as flag.FlagSet reads it; and that no words at all crash it.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { parseGoFlags, type NamedSpec } from './go-flags.ts'
import type { FlagValue } from './go-values.ts'

const SPECS: readonly NamedSpec[] = [
  { name: 'prefix', type: 'string' },
  { name: 'iface', type: 'strings' },
  { name: 'masq', type: 'bool' },
  { name: 'port', type: 'int' },
  { name: 'grace', type: 'duration' },
  { name: 'v', type: 'level' },
  { name: 'log-dir', type: 'string', aliases: ['log_dir'] },
  { name: 'password', type: 'string', secret: true, form: { pattern: /^\w*$/, want: 'letters' } },
]
const read = (...words: string[]) => parseGoFlags(SPECS, words)
const values = (...words: string[]): readonly (readonly [string, FlagValue])[] => {
  const line = read(...words)
  if (line.kind !== 'flags') throw new Error(JSON.stringify(line))
  return line.given.map(({ name, value }) => [name, value])
}
const reason = (...words: string[]): string => {
  const line = read(...words)
  return line.kind === 'mistake' ? line.reason : `no mistake: ${JSON.stringify(line)}`
}

describe('Go flag syntax:', () => {
  test.each([[['-prefix', '/a']], [['--prefix', '/a']], [['-prefix=/a']], [['--prefix=/a']]])(
    '%j sets a text',
    (words) => expect(values(...words)).toEqual([['prefix', '/a']]),
  )

  test('a value may hold =, be empty, or look like a flag', () => {
    expect(values('--prefix=a=b', '--prefix=', '--prefix', '--masq')).toEqual([
      ['prefix', 'a=b'],
      ['prefix', ''],
      ['prefix', '--masq'],
    ])
  })

  test('a bare boolean is true, and takes a value only after =', () => {
    expect(values('--masq', '-masq=false')).toEqual([
      ['masq', true],
      ['masq', false],
    ])
    for (const yes of ['1', 't', 'T', 'TRUE', 'true', 'True'])
      expect(values(`--masq=${yes}`)).toEqual([['masq', true]])
    for (const no of ['0', 'f', 'F', 'FALSE', 'false', 'False'])
      expect(values(`--masq=${no}`)).toEqual([['masq', false]])
    for (const bad of ['yes', 'tRUE', '', ' true']) expect(reason(`--masq=${bad}`)).toContain('true or false')
  })

  test('reading stops at the first other word, and behind --', () => {
    expect(read('--masq', 'false', '--prefix=x')).toMatchObject({ given: [{ name: 'masq' }], unread: 1 })
    expect(read('--masq', '--', '--prefix=x')).toMatchObject({ given: [{ name: 'masq' }], unread: 2 })
    expect(read('--masq', '-')).toMatchObject({ unread: 1 })
    expect(read('', '--masq')).toMatchObject({ given: [], unread: 0 })
    expect(read('--masq')).toMatchObject({ unread: 1 })
  })

  test.each([
    ['0x1F90', 8080],
    ['010', 8],
    ['0o17', 15],
    ['0b101', 5],
    ['1_000', 1000],
    ['0x_1F', 31],
    ['+5', 5],
    ['-5', -5],
    ['-0', 0],
  ])('an int %s is %d', (text, value) => expect(values(`--port=${text}`)).toEqual([['port', value]]))

  test.each(['8.5', '', ' 1', '1_', '_1', '1__0', '08', '0x', '1e3', '9'.repeat(400), '0b2'])(
    '%j is no int',
    (text) => expect(reason(`--port=${text}`)).toContain('whole number'),
  )

  test('a level is decimal whatever it begins with', () => {
    expect(values('-v=010', '-v', '4')).toEqual([
      ['v', 10],
      ['v', 4],
    ])
    for (const bad of ['0x1', '2147483648', '1_0']) expect(reason(`-v=${bad}`)).toContain('whole number')
  })

  test('durations are Go’s', () => {
    expect(values('--grace=1m30s', '--grace=0', '--grace=1.5h', '--grace=500ms')).toEqual([
      ['grace', 90],
      ['grace', 0],
      ['grace', 5400],
      ['grace', 0.5],
    ])
    for (const bad of ['10', '', '1d', 'm', '9'.repeat(400) + 'h'])
      expect(reason(`--grace=${bad}`)).toContain('10m')
  })

  test('help is asked for where a flag may stand, not as a value', () => {
    for (const word of ['-h', '--h', '-help', '--help', '--help=x'])
      expect(read('--masq', word).kind).toBe('help')
    expect(values('--prefix', '--help')).toEqual([['prefix', '--help']])
    expect(read('word', '--help').kind).toBe('flags')
    expect(read('--nothing', '--help').kind).toBe('mistake')
  })

  test('a mistake names the word, and the flag that was meant', () => {
    expect(read('--masq', '--prefx=x')).toEqual({
      kind: 'mistake',
      word: 1,
      reason: 'there is no flag --prefx; did you mean --prefix?',
    })
    expect(reason('--logdir=x')).toContain('--log-dir')
    expect(reason('--zzzzzzzzzzzz')).toBe('there is no flag --zzzzzzzzzzzz; see flanneld --help')
    for (const word of ['---masq', '-=x', '--=', '---'])
      expect(reason(word)).toBe(`bad flag syntax: ${word.split('=', 1)[0]}`)
    expect(reason('--prefix')).toBe('--prefix needs a value')
    expect(values('--log_dir=/x')).toEqual([['log-dir', '/x']])
  })

  test('a mistake repeats no secret', () => {
    for (const words of [['--password=s3cr3t!'], ['---password=s3cr3t!'], ['--pasword=s3cr3t!']])
      expect(reason(...words)).not.toContain('s3cr3t')
    expect(reason('--password=s3cr3t!')).toContain('letters')
  })

  test('no words at all crash it: values of the right type, or a mistake at one of the words', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('-', '--', '-=', '--iface', '-v', '--v=', '--masq=t', '-port', '0x10', '1m', '--help'),
      fc.tuple(fc.constantFrom(...SPECS.map((s) => `--${s.name}=`)), fc.string()).map(([a, b]) => a + b),
    )
    const type = { string: 'string', strings: 'object', bool: 'boolean', int: 'number' } as const
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => {
        const line = read(...words)
        if (line.kind === 'mistake') {
          expect(line.word).toBeLessThan(words.length)
          expect(line.reason).toMatch(/\w+ \w+/)
        } else if (line.kind === 'flags') {
          expect(line.unread).toBeLessThanOrEqual(words.length)
          for (const { name, value } of line.given) {
            const spec = SPECS.find((spec) => spec.name === name)
            const wanted = type[(spec?.type ?? 'string') as keyof typeof type] ?? 'number'
            expect(typeof value).toBe(wanted)
          }
        }
      }),
    )
  })
})
