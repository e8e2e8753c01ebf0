// What peers' answers say about this host's checksums, and what they don't.
import { describe, expect, test } from 'bun:test'
import { array, assert as check, boolean, property, record } from 'fast-check'
import { judge, judgePeer, MOST_ROUNDS, type Round } from './verdict.ts'

const rounds = (text: string): Round[] =>
  Array.from(text, (each) => ({ offloaded: each === 'o', control: each === 'o' || each === 'c' }))
const peers = (...texts: readonly string[]) => texts.map(rounds)
const BAD = 'cccc'
const GOOD = 'o'
const SILENT = '--'

describe('a peer', () => {
  test.each([
    ['', 'unclear'],
    ['o', 'good'],
    ['cccccco', 'good'],
    ['ccc', 'unclear'],
    ['cccc', 'bad'],
    ['-c-ccc', 'bad'],
    ['-', 'unclear'],
    ['--', 'silent'],
    ['-c', 'unclear'],
  ] as const)('that has answered %p is %s', (text, verdict) => expect(judgePeer(rounds(text))).toBe(verdict))
})

describe('all together', () => {
  test.each([
    ['nobody to ask', [], 'unknown'],
    ['all answer', [GOOD, GOOD], 'good'],
    ['one answers', [SILENT, GOOD], 'good'],
    ['nobody answers', [SILENT, SILENT], 'unknown'],
    ['all are deaf', [BAD, BAD], 'bad'],
    ['the only one there is is deaf', [BAD], 'bad'],
    ['the only one that answers anything is deaf', [SILENT, BAD, SILENT], 'bad'],
    ['one is deaf among others', [GOOD, BAD, GOOD], 'odd'],
    [
      'two are deaf among others, as where only hosts of the same hypervisor hear',
      [GOOD, BAD, BAD, GOOD],
      'bad',
    ],
    ['two are deaf, whatever the rest will say', [BAD, BAD, ''], 'bad'],
    ['one is deaf and another still to be asked', [BAD, 'cc'], undefined],
    ['a lossy one', [BAD, 'c'.repeat(3) + '-'.repeat(MOST_ROUNDS - 3)], 'unknown'],
  ] as const)('%s', (_what, texts, verdict) => expect(judge(peers(...texts))).toBe(verdict as never))

  const round = record({ offloaded: boolean(), control: boolean() })
  const all = array(array(round, { maxLength: MOST_ROUNDS }), { maxLength: 6 })

  test('whoever has answered what was left to the device is never called deaf', () =>
    check(
      property(all, (asked) => {
        const heard = asked.map((each) => [...each, { offloaded: true, control: false }])
        expect(heard.map(judgePeer)).toEqual(heard.map(() => 'good'))
        expect(judge(heard)).toBe(heard.length === 0 ? 'unknown' : 'good')
      }),
    ))
  test('asking ends', () =>
    check(
      property(array(array(round, { minLength: MOST_ROUNDS, maxLength: MOST_ROUNDS })), (asked) =>
        expect(judge(asked)).toBeDefined(),
      ),
    ))
  test('the order of peers doesn’t matter', () =>
    check(property(all, (asked) => expect(judge(asked.toReversed())).toBe(judge(asked) as never))))
})
