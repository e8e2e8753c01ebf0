// What is told of connection tracking: each trouble once, again after an hour, and its end.
import { expect, test } from 'bun:test'
import { ConntrackWatch, type ConntrackReading } from './conntrack-watch.ts'

const MINUTE_MS = 60_000
const reading = (changes: Partial<ConntrackReading>): ConntrackReading => ({
  entries: 0,
  max: 1000,
  insertFailed: 0,
  drop: 0,
  earlyDrop: 0,
  ...changes,
})
const abouts = (watch: ConntrackWatch, now: ConntrackReading, minute: number) =>
  watch.take(now, minute * MINUTE_MS).map(({ level, about }) => `${level} ${about}`)

test('a table that fills up is told once, and once there is room again', () => {
  const watch = new ConntrackWatch()
  expect(abouts(watch, reading({ entries: 799 }), 0)).toEqual([])
  expect(watch.take(reading({ entries: 800 }), 1)[0]?.text).toBe(
    'connection tracking has 800 of 1000 entries in use (80 %): once it is full, new connections are dropped. Room for more: --conntrack-max-per-core, or sysctl -w net.netfilter.nf_conntrack_max=2000',
  )
  expect(watch.troubles.length).toBe(1)
  expect(abouts(watch, reading({ entries: 990 }), 2)).toEqual([])
  expect(abouts(watch, reading({ entries: 750 }), 3)).toEqual([])
  expect(abouts(watch, reading({ entries: 600 }), 4)).toEqual(['info full'])
  expect(watch.troubles).toEqual([])
})

test('what was lost before the first look is no news; what is lost later is, at most once an hour', () => {
  const watch = new ConntrackWatch()
  expect(abouts(watch, reading({ insertFailed: 40, drop: 7 }), 0)).toEqual([])
  expect(abouts(watch, reading({ insertFailed: 40, drop: 7 }), 1)).toEqual([])
  const news = watch.take(reading({ insertFailed: 43, drop: 8 }), 2 * MINUTE_MS)
  expect(news.map(({ text }) => text.split(/[:(]/)[0])).toEqual([
    'connection tracking was full',
    '3 packets were lost as two connections wanted the same place in connection tracking at once ',
  ])
  expect(news[0]?.text).toContain('one packet was dropped that would have opened a connection')
  expect(abouts(watch, reading({ insertFailed: 50, drop: 8 }), 30)).toEqual([])
  expect(watch.troubles.length).toBe(2)
  // 10 since it was told last; none was dropped any more.
  const later = watch.take(reading({ insertFailed: 53, drop: 8 }), 63 * MINUTE_MS)
  expect(later.map(({ text }) => text.slice(0, 10))).toEqual(['10 packets'])
  expect(watch.troubles.length).toBe(1)
})

test('counters that began anew, or that the kernel hasn’t got, are no news', () => {
  const watch = new ConntrackWatch()
  expect(abouts(watch, reading({ drop: 9 }), 0)).toEqual([])
  expect(abouts(watch, reading({ drop: 2 }), 1)).toEqual([])
  expect(abouts(watch, { entries: 1, max: 1000 }, 2)).toEqual([])
  expect(abouts(watch, reading({ drop: 3 }), 3)).toEqual(['warning drop'])
})
