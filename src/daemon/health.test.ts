// What makes a process stuck: a round of programming that never ends.
import { expect, test } from 'bun:test'
import { Reconciler } from '../dataplane/reconciler.ts'
import { Health, STUCK_ROUND_MS } from './health.ts'
import { Report } from './report.ts'
import { StoreWatch } from './store-watch.ts'

test('a round that takes too long is a reason to start the process again, a long one is not', async () => {
  using storeWatch = new StoreWatch({ graceMs: 1000, onLong: () => undefined })
  const report = new Report(storeWatch)
  const health = new Health(report)
  const failures = () => health.live().map(({ name, failure }) => [name, failure])
  const fine = [
    ['ping', undefined],
    ['reconciler', undefined],
  ]
  expect(failures()).toEqual(fine)
  await using reconciler = new Reconciler([])
  report.reconciler = reconciler
  expect(failures()).toEqual(fine)
  const usual = reconciler.report.bind(reconciler)
  let roundRunsMs = STUCK_ROUND_MS
  reconciler.report = () => ({ ...usual(), roundRunsMs })
  expect(failures()).toEqual(fine)
  roundRunsMs += 1000
  expect(failures()).toEqual([
    ['ping', undefined],
    ['reconciler', 'one round of programming the kernel has taken 61 s so far'],
  ])
  expect(health.stuck()).toContain('61 s')
})
