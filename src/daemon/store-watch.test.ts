// How long the store is heard of or lost: ages, the grace, and no timer while all is well.
import { expect, test } from 'bun:test'
import { StoreError } from '../store/store.ts'
import { StoreWatch } from './store-watch.ts'

const error = new StoreError('unavailable', 'etcd is down')
function scene(graceMs: number) {
  const told: (string | undefined)[] = []
  const watch = new StoreWatch({ graceMs, onLong: (lost) => told.push(lost?.error.message) })
  return { told, watch, [Symbol.dispose]: () => watch[Symbol.dispose]() }
}
const until = async (condition: () => boolean) => {
  while (!condition()) await Bun.sleep(2)
}

test('what is heard of has an age, what was never heard of has none', async () => {
  using it = scene(1000)
  expect(it.watch.ageMs('leases')).toBeUndefined()
  it.watch.tell('leases', undefined)
  await Bun.sleep(20)
  const before = it.watch.ageMs('leases') ?? 0
  expect(before).toBeGreaterThan(10)
  it.watch.tell('leases', undefined)
  expect(it.watch.ageMs('leases')).toBeLessThan(before)
  expect(it.watch.ageMs('config')).toBeUndefined()
})

test('a loss is long after the grace, told once, counted from its first failure; so is its end', async () => {
  using it = scene(40)
  it.watch.tell('leases', error)
  const { sinceMs } = it.watch.lost('leases') ?? { sinceMs: NaN }
  expect(it.watch.isLong).toBe(false)
  await Bun.sleep(15)
  it.watch.tell('leases', error)
  expect(it.watch.lost('leases')?.sinceMs).toBe(sinceMs)
  await until(() => it.watch.isLong)
  expect(performance.now() - sinceMs).toBeWithin(39, 500)
  it.watch.tell('leases', error)
  await Bun.sleep(60)
  expect(it.told).toEqual(['etcd is down'])
  it.watch.tell('leases', undefined)
  it.watch.tell('leases', undefined)
  expect(it.told).toEqual(['etcd is down', undefined])
  expect([it.watch.isLong, it.watch.lost('leases')]).toEqual([false, undefined])
})

test('a short loss is none, and other watches decide nothing', async () => {
  using it = scene(30)
  it.watch.tell('leases', error)
  it.watch.tell('leases', undefined)
  it.watch.tell('config', error)
  await Bun.sleep(60)
  expect(it.told).toEqual([])
  expect(it.watch.lost('config')?.error).toBe(error)
})
