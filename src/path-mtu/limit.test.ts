// When devices and subnet.env follow the smallest path, and when they don't.
import { expect, test } from 'bun:test'
import { DeviceLimit } from './limit.ts'

const PATIENCE = { lowerMs: 300, raiseMs: 60 }

test('falls once a path has been small for long, and rises soon after none is', () => {
  const limit = new DeviceLimit(PATIENCE)
  expect(limit.look(1400, 0)).toBe(false)
  expect(limit.waitMs(100)).toBe(200)
  expect(limit.look(1400, 299)).toBe(false)
  expect(limit.bytes).toBeUndefined()
  expect(limit.look(1400, 300)).toBe(true)
  expect(limit.bytes).toBe(1400)
  expect(limit.waitMs(300)).toBe(Infinity)
  expect(limit.look(undefined, 400)).toBe(false)
  expect(limit.look(undefined, 460)).toBe(true)
  expect(limit.bytes).toBeUndefined()
})

test('a path that is small for a moment only, again and again, changes nothing', () => {
  const limit = new DeviceLimit(PATIENCE)
  for (let atMs = 0; atMs < 3000; atMs += 100)
    expect(limit.look(atMs % 300 === 0 ? undefined : 1400, atMs)).toBe(false)
  expect(limit.bytes).toBeUndefined()
})

test('falls no further than to what the path has had at all times since', () => {
  const limit = new DeviceLimit(PATIENCE)
  limit.look(1300, 0)
  limit.look(1400, 100)
  limit.look(1350, 200)
  expect(limit.look(1350, 300)).toBe(true)
  expect(limit.bytes).toBe(1400)
  expect(limit.look(1350, 599)).toBe(false)
  expect(limit.look(1350, 600)).toBe(true)
  expect(limit.bytes).toBe(1350)
})

test('rises no further than to what all paths have taken since', () => {
  const limit = new DeviceLimit(PATIENCE, 1300)
  expect(limit.bytes).toBe(1300)
  limit.look(undefined, 0)
  limit.look(1400, 30)
  expect(limit.look(undefined, 60)).toBe(true)
  expect(limit.bytes).toBe(1400)
  expect(limit.look(undefined, 120)).toBe(true)
  expect(limit.bytes).toBeUndefined()
})
