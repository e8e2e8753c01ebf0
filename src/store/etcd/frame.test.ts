// gRPC frames: split anywhere, put together again; damaged ones are refused by name.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { encodeFrame, FrameError, FrameReader, type FrameErrorCode } from './frame.ts'

function codeOf(action: () => unknown): FrameErrorCode | undefined {
  try {
    action()
  } catch (error) {
    if (error instanceof FrameError) return error.code
    throw error
  }
  return undefined
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

test('a frame is flag, big-endian length, message', () => {
  expect([...encodeFrame(new Uint8Array([7, 8, 9]))]).toEqual([0, 0, 0, 0, 3, 7, 8, 9])
  expect([...encodeFrame(new Uint8Array([7]), new Uint8Array([8, 9]))]).toEqual([0, 0, 0, 0, 3, 7, 8, 9])
})

test('any messages cut into any chunks come back whole and in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1, maxLength: 20 }),
      (messages, cuts) => {
        const stream = concat(messages.map((message) => encodeFrame(message)))
        const reader = new FrameReader(40)
        const received: number[][] = []
        for (let at = 0, turn = 0; at < stream.byteLength; turn++) {
          const size = cuts[turn % cuts.length] ?? 1
          received.push(...reader.push(stream.slice(at, at + size)).map((message) => [...message]))
          at += size
        }
        reader.finish()
        expect(received).toEqual(messages.map((message) => [...message]))
      },
    ),
  )
})

test('a stream cut anywhere inside a frame is refused as truncated', () => {
  const frame = encodeFrame(new Uint8Array(9))
  for (let length = 1; length < frame.byteLength; length++) {
    const reader = new FrameReader(100)
    expect(reader.push(frame.subarray(0, length))).toEqual([])
    expect(codeOf(() => reader.finish())).toBe('frame_truncated')
  }
})

test('a message over the limit is refused by its header, before its bytes come', () => {
  const header = encodeFrame(new Uint8Array(101)).subarray(0, 5)
  expect(codeOf(() => new FrameReader(100).push(header))).toBe('frame_too_large')
  expect(codeOf(() => new FrameReader(101).push(header))).toBeUndefined()
})

test('a compressed frame and an unknown flag are refused by name', () => {
  expect(codeOf(() => new FrameReader(100).push(new Uint8Array([1, 0, 0, 0, 0])))).toBe('frame_compressed')
  expect(codeOf(() => new FrameReader(100).push(new Uint8Array([72, 84, 84, 80, 47])))).toBe(
    'frame_malformed',
  )
})
