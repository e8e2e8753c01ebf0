// How much history is kept, as flags spell it.
import { expect, test } from 'bun:test'
import { parseRetention } from './retention.ts'

test('retention is spelt as for etcd, and is an hour unless given', () => {
  const hour = 3_600_000
  for (const [mode, text, retention] of [
    ['periodic', undefined, { ms: hour }],
    ['periodic', '12', { ms: 12 * hour }],
    ['periodic', '1h30m', { ms: 1.5 * hour }],
    ['periodic', '0.5h', { ms: hour / 2 }],
    ['periodic', '1500ms', { ms: 1500 }],
    ['periodic', '0', undefined],
    ['revision', undefined, { revisions: 10_000n }],
    ['revision', '500', { revisions: 500n }],
    ['revision', '0', undefined],
  ] as const) {
    expect(parseRetention(mode, text)).toEqual(retention)
  }
})

test('what is no retention is refused', () => {
  for (const text of ['', 'h', '1d', '-1h', '1h ', '999ms', '9000h', '1e3']) {
    expect(() => parseRetention('periodic', text)).toThrow(/isn't a time from 1s/)
  }
  for (const text of ['', '1h', '-1', '1.5']) {
    expect(() => parseRetention('revision', text)).toThrow(/isn't a number of revisions/)
  }
  expect(() => parseRetention('', '1h')).toThrow(/neither periodic nor revision/)
})
