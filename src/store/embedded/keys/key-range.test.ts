// Ranges of keys as etcd reads them.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { keyRange, rangeContains, rangeId } from './key-range.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))

test('ranges hold the keys that etcd says they hold', () => {
  const holds = (key: string, end: string, candidate: string) =>
    rangeContains(keyRange(bytes(key), bytes(end)), bytes(candidate))
  expect(['a', 'a\0', 'b'].map((candidate) => holds('a', '', candidate))).toEqual([true, false, false])
  expect(['a', 'a\xff', 'b', 'A'].map((candidate) => holds('a', 'b', candidate))).toEqual([
    true,
    true,
    false,
    false,
  ])
  expect(['a', '\xff\xff', 'A'].map((candidate) => holds('a', '\0', candidate))).toEqual([true, true, false])
  expect(holds('b', 'a', 'b')).toBe(false)
})

test('two ranges have one id only if they are the same range', () => {
  const part = fc.uint8Array({ maxLength: 3, max: 2 })
  fc.assert(
    fc.property(part, part, part, part, (key, end, otherKey, otherEnd) => {
      const same = Buffer.compare(key, otherKey) === 0 && Buffer.compare(end, otherEnd) === 0
      expect(rangeId(keyRange(key, end)) === rangeId(keyRange(otherKey, otherEnd))).toBe(same)
    }),
  )
})
