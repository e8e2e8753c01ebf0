// The arena: blocks never overlap, never move, come back zeroed, and all memory is found again.
import { ptr } from 'bun:ffi'
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { allocate, arenaBytesInUse, type Block } from './arena.ts'

test('any order of taking and giving keeps blocks apart and loses no memory', () => {
  const before = arenaBytesInUse()
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 9000 }), drop: fc.nat(40) }), { maxLength: 80 }),
      (steps) => {
        const held: { block: Block; mark: number }[] = []
        for (const [index, { bytes, drop }] of steps.entries()) {
          const block = allocate(bytes)
          expect(block.bytes.every((byte) => byte === 0)).toBe(true)
          expect(block.address % 16).toBe(0)
          expect(ptr(block.bytes)).toBe(block.address as ReturnType<typeof ptr>)
          block.bytes.fill(index + 1)
          held.push({ block, mark: index + 1 })
          if (drop < held.length) held.splice(drop, 1)[0]?.block[Symbol.dispose]()
        }
        for (const { block, mark } of held) {
          expect(block.bytes.every((byte) => byte === mark)).toBe(true)
          block[Symbol.dispose]()
        }
        expect(arenaBytesInUse()).toBe(before)
      },
    ),
    { numRuns: 50 },
  )
})

test('a block larger than a slab gets one of its own; giving twice is harmless', () => {
  const before = arenaBytesInUse()
  const block = allocate(9 << 20)
  expect(block.bytes.length).toBe(9 << 20)
  block[Symbol.dispose]()
  block[Symbol.dispose]()
  expect(arenaBytesInUse()).toBe(before)
})
