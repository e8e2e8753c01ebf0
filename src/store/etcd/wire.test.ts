// The wire format by itself: numbers of every length, and what must be refused.
import { describe, expect, test } from 'bun:test'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import * as fc from 'fast-check'
import { WireError, WireReader, WireWriter } from './wire.ts'

const INT64_MIN = -(1n << 63n)
const INT64_MAX = (1n << 63n) - 1n
const UINT64_MAX = (1n << 64n) - 1n
/** Around every length that a varint can have, and where numbers stop being exact. */
const edges = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).flatMap((power) => [
  power - 1n,
  power,
  power + 1n,
])

/** A reader at the value of the one field that `write` writes. */
function reading(write: (writer: BinaryWriter) => BinaryWriter, type = WireType.Varint): WireReader {
  const wire = new WireReader('Thing', write(new BinaryWriter().tag(7, type)).finish())
  expect(wire.field()).toBe(7)
  return wire
}
const reader = (...bytes: readonly number[]) => new WireReader('Thing', Uint8Array.from(bytes))
const refusal = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return error instanceof WireError ? error.message : expect.unreachable(String(error))
  }
  return expect.unreachable('it was taken')
}

describe('a number', () => {
  test('of 64 bits is read as it was written', () => {
    const check = (value: bigint) => {
      const signed = BigInt.asIntN(64, value)
      expect(reading((writer) => writer.int64(signed)).int64()).toBe(signed)
      expect(reading((writer) => writer.uint64(value)).uint64()).toBe(value)
      const written = new WireWriter().chosenInt64(7, signed).finish()
      expect([...written]).toEqual([...new BinaryWriter().tag(7, WireType.Varint).int64(signed).finish()])
    }
    for (const value of [0n, ...edges, UINT64_MAX]) check(BigInt.asUintN(64, value))
    fc.assert(fc.property(fc.bigInt(0n, UINT64_MAX), check))
  })

  test('that has no 64 bits is not written', () => {
    for (const value of [INT64_MIN - 1n, INT64_MAX + 1n])
      expect(() => new WireWriter().int64(1, value)).toThrow(RangeError)
  })

  test('may be longer than it need be, up to ten bytes', () => {
    expect(reader(0x8f, 0, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0).field()).toBe(1)
    const wire = reader(0x08, 0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0)
    wire.field()
    expect(wire.uint64()).toBe(5n)
  })

  test('of more than 64 bits is refused', () => {
    for (const last of [[2], [0x7f], [0x80, 0]]) {
      const wire = reader(0x08, ...Array.from({ length: 9 }, () => 0xff), ...last)
      wire.field()
      expect(refusal(() => wire.int64())).toContain('no Thing: a number of more than 64 bits')
    }
  })

  test('is true unless it is zero, and an enum’s is its low 32 bits', () => {
    for (const value of [0n, ...edges])
      expect(reading((w) => w.uint64(BigInt.asUintN(64, value))).bool()).toBe(
        BigInt.asUintN(64, value) !== 0n,
      )
    for (const value of [0, 1, 7, 2 ** 31 - 1, -1, -(2 ** 31)])
      expect(reading((writer) => writer.int32(value)).enumeration()).toBe(value)
  })
})

describe('text', () => {
  test('of a string must be UTF-8, and is all of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const value = `\uFEFF${text.toWellFormed()}\uFFFD`
        expect(reading((writer) => writer.string(value), WireType.LengthDelimited).string()).toBe(value)
        const wire = new WireReader('Thing', new WireWriter().string(7, value).finish())
        wire.field()
        expect(wire.bytesAsText()).toBe(value)
      }),
    )
    const bad = reading((writer) => writer.bytes(Uint8Array.of(65, 0xff)), WireType.LengthDelimited)
    expect(refusal(() => bad.string())).toContain('field 7 is no UTF-8')
  })

  test('in bytes is what a decoder of UTF-8 makes of them', () => {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc2, 0xe2, 0x82, 0xf0, 0x9f, 0xed, 0xa0))
        .map((b) => Uint8Array.from(b)),
    )
    fc.assert(
      fc.property(bytes, (value) => {
        const wire = reading((writer) => writer.bytes(value), WireType.LengthDelimited)
        expect(wire.bytesAsText()).toBe(decoder.decode(value))
      }),
    )
  })
})

describe('a field', () => {
  test('nobody asks for is left out, whatever its type', () => {
    const message = new BinaryWriter()
      .tag(1, WireType.Varint)
      .uint64(UINT64_MAX)
      .tag(2, WireType.Bit64)
      .fixed64(1n)
      .tag(3, WireType.LengthDelimited)
      .bytes(new Uint8Array(200))
      .tag(4, WireType.Bit32)
      .fixed32(1)
      .tag(536_870_911, WireType.Varint)
      .uint32(1)
      .finish()
    const wire = new WireReader('Thing', message)
    const fields: number[] = []
    for (let field = wire.field(); field !== 0; field = wire.field()) {
      fields.push(field)
      wire.skip()
    }
    expect(fields).toEqual([1, 2, 3, 4, 536_870_911])
    expect(wire.field()).toBe(0)
  })

  test.each<[string, readonly number[], RegExp]>([
    ['of number 0', [0x00, 1], /number 0/],
    ['of a number with 30 bits', [0x80, 0x80, 0x80, 0x80, 0x10, 1], /more than 29 bits/],
    ['that begins a group', [0x0b, 0x0c], /field 1 has wire type 3, which etcd doesn't use/],
    ['that ends a group', [0x0c], /wire type 4/],
    ['of type 6', [0x0e, 1], /wire type 6/],
    ['of type 7', [0x0f, 1], /wire type 7/],
    ['cut off in its tag', [0x88], /ends inside a number/],
    ['cut off before its value', [0x08], /ends inside a number/],
    ['cut off in its number', [0x08, 0x80], /ends inside a number/],
    ['cut off in 64 bits', [0x09, 1, 2, 3, 4, 5, 6, 7], /field 1 is cut off/],
    ['cut off in 32 bits', [0x0d, 1, 2, 3], /field 1 is cut off/],
    ['cut off in its bytes', [0x0a, 3, 1, 2], /claims more bytes than the 2 that are left/],
    ['of 2^63 bytes', [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], /more bytes than/],
    ['of 2^35 bytes', [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 1], /more bytes than/],
  ])('%s is refused', (_, bytes, sentence) => {
    const wire = reader(...bytes)
    const error = refusal(() => {
      wire.field()
      wire.skip()
    })
    expect(error).toMatch(sentence)
    expect(error).toMatch(/^the bytes are no Thing: .* \(at byte \d+ of \d+\)$/)
  })

  test('of another type than is read is refused', () => {
    const reads: readonly ((wire: WireReader) => unknown)[] = [
      (wire) => wire.int64(),
      (wire) => wire.bool(),
      (wire) => wire.enumeration(),
      (wire) => wire.string(),
      (wire) => wire.bytesAsText(),
      (wire) => wire.enter(),
    ]
    for (const read of reads) {
      const wire = reader(0x09, 0, 0, 0, 0, 0, 0, 0, 0)
      wire.field()
      expect(refusal(() => read(wire))).toMatch(/field 1 has wire type 1 where [02] belongs/)
    }
  })

  test.each([
    ['nothing of its value is inside', [0x0a, 1, 0x10, 0x01]],
    ['its value begins inside', [0x0a, 2, 0x10, 0x80, 0x01]],
  ])('may not reach beyond the message it is in: %s', (_, bytes) => {
    const wire = reader(...bytes)
    wire.field()
    wire.enter()
    expect(wire.field()).toBe(2)
    expect(refusal(() => wire.int64())).toContain('ends inside a number')
  })
})

test('what is written grows as it must, and leaves defaults out', () => {
  const wire = new WireWriter()
    .bytes(1, new Uint8Array())
    .string(2, '')
    .int64(3, 0n)
    .bool(4, false)
    .enumeration(5, 0)
    .message(6, new Uint8Array())
    .chosenInt64(7, 0n)
    .bytes(8, new Uint8Array(100_000).fill(9))
    .string(64, 'é')
  const read = new BinaryReader(wire.finish())
  expect([read.tag(), read.bytes().length]).toEqual([[6, WireType.LengthDelimited], 0])
  expect([read.tag(), read.int64()]).toEqual([[7, WireType.Varint], 0n])
  expect([read.tag(), read.bytes()]).toEqual([[8, WireType.LengthDelimited], new Uint8Array(100_000).fill(9)])
  expect([read.tag(), read.string()]).toEqual([[64, WireType.LengthDelimited], 'é'])
  expect(read.pos).toBe(read.len)
})
