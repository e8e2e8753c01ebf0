// HTTP/2 requests whose :authority is a URL, as old etcd clients send.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { AuthorityFilter } from './authority-filter.ts'

/** What etcdctl 3.4.23 sends for `--endpoints=http://127.0.0.1:7272 defrag`, as captured. */
const CAPTURED = Buffer.from(
  '505249202a20485454502f322e300d0a0d0a534d0d0a0d0a000000040000000000000000040100000000' +
    '0000790104000000018386459a60a924882d9dcb6571afa066a925a87510ac5f2cb60e6a4b527f' +
    '418f9d29aee30c044eae05c0b86e3a27455f8b1d75d0620d263d4c4d65647a8b9acac8b4c7602bb2caecff' +
    '40027465864d833505b11f40899acac8b24d494f6a7f8669f7c4cba2b7408d25062d495875996ee5b1063d5f03332e34' +
    '0000050001000000010000000000',
  'hex',
)
/** Huffman's code for "http://" and the first bits after it, and for "http:..". */
const SLASHES = Buffer.from('9d29aee30c04', 'hex')
const DOTS = Buffer.from('9d29aee2eb84', 'hex')

function through(filter: AuthorityFilter, bytes: Buffer, cuts: readonly number[]): Buffer {
  const passed: Buffer[] = []
  for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
    const size = cuts[turn % cuts.length] ?? 1
    passed.push(Buffer.from(filter.push(Buffer.from(bytes.subarray(at, at + size)))))
    at += size
  }
  return Buffer.concat(passed)
}

test('the slashes of an authority become dots, and nothing else changes, however the bytes come', () => {
  const expected = Buffer.from(CAPTURED)
  DOTS.copy(expected, expected.indexOf(SLASHES))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 9 }), (cuts) => {
      expect(through(new AuthorityFilter(), CAPTURED, cuts)).toEqual(expected)
    }),
  )
})

test('the same bytes elsewhere stay as they are: in a message, and in another header', () => {
  const preface = CAPTURED.subarray(0, 24)
  const data = Buffer.concat([Buffer.from('000008000000000001', 'hex'), Buffer.from('418f', 'hex'), SLASHES])
  // A literal with name index 4 (:path).
  const path = Buffer.concat([Buffer.from('000008010400000003', 'hex'), Buffer.from('4486', 'hex'), SLASHES])
  const bytes = Buffer.concat([preface, data, path])
  expect(through(new AuthorityFilter(), bytes, [1000])).toEqual(bytes)
})

test('whatever comes is passed on in full length, but for a frame of headers not yet complete', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      const bytes = Buffer.concat([CAPTURED.subarray(0, 24), noise])
      const passed = through(new AuthorityFilter(), bytes, [13])
      expect(passed.byteLength).toBeLessThanOrEqual(bytes.byteLength)
    }),
  )
})
