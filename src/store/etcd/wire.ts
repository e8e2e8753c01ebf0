// The protobuf wire format, as far as etcd's messages use it: reading and writing fields, one after the other.
// Source: protobuf.dev/programming-guides/encoding.
import { isUtf8 } from 'node:buffer'

const VARINT = 0
const FIXED64 = 1
const LENGTH_DELIMITED = 2
const FIXED32 = 5

/** Bytes that are no message of the kind they should be. */
export class WireError extends Error {
  override readonly name = 'WireError'
  readonly code = 'message_malformed'
}

/**
 * Walks over the fields of a message: `for (let field = wire.field(); field !== 0; field = wire.field())`, reading or
 * skipping each of them. Throws WireError for whatever is truncated, malformed, or of another type than is read.
 */
export class WireReader {
  readonly #message: string
  readonly #bytes: Buffer
  #at = 0
  /** Of the innermost message that was entered. */
  #end: number
  /** Of the field whose value comes next. */
  #field = 0
  #type = 0
  /** The varint read last: its bits 0 to 27, 28 to 55, 56 to 63. */
  #low = 0
  #middle = 0
  #high = 0

  /** `message` is named in errors. The bytes must not change while they are read; text is a copy. */
  constructor(message: string, bytes: Uint8Array) {
    this.#message = message
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#end = bytes.byteLength
  }

  /** The next field's number; 0 at the end of the message. */
  field(): number {
    if (this.#at === this.#end) return 0
    this.#varint()
    // Numbers go up to 2^29 - 1: a tag has 32 bits.
    if (this.#high !== 0 || this.#middle > 0xf) this.#fail('a field number of more than 29 bits')
    this.#type = this.#low & 7
    this.#field = (this.#low >>> 3) | (this.#middle << 25)
    if (this.#field === 0) this.#fail('a field of number 0')
    return this.#field
  }

  /** Leaves out a field nobody asks for. */
  skip(): void {
    if (this.#type === VARINT) this.#varint()
    else if (this.#type === LENGTH_DELIMITED) this.#take()
    else if (this.#type === FIXED64) this.#advance(8)
    else if (this.#type === FIXED32) this.#advance(4)
    else this.#fail(`field ${this.#field} has wire type ${this.#type}, which etcd doesn't use`)
  }

  /** Goes into a message; its end must be given back to `leave` when its last field has been read. */
  enter(): number {
    this.#expect(LENGTH_DELIMITED)
    const outerEnd = this.#end
    const length = this.#length()
    this.#end = this.#at + length
    return outerEnd
  }

  leave(outerEnd: number): void {
    this.#end = outerEnd
  }

  uint64(): bigint {
    this.#expect(VARINT)
    this.#varint()
    return this.#high === 0 && this.#middle < 1 << 25
      ? BigInt(this.#middle * 0x1000_0000 + this.#low)
      : (BigInt(this.#high) << 56n) | (BigInt(this.#middle) << 28n) | BigInt(this.#low)
  }

  int64(): bigint {
    const value = this.uint64()
    return this.#high < 0x80 ? value : value - (1n << 64n)
  }

  bool(): boolean {
    this.#expect(VARINT)
    this.#varint()
    return (this.#low | this.#middle | this.#high) !== 0
  }

  /** An enum's number; one that etcd invents later is given as it comes. */
  enumeration(): number {
    this.#expect(VARINT)
    this.#varint()
    return this.#low | (this.#middle << 28)
  }

  /** A `string`, which must be UTF-8. */
  string(): string {
    this.#expect(LENGTH_DELIMITED)
    const from = this.#take()
    if (!isUtf8(this.#bytes.subarray(from, this.#at))) this.#fail(`field ${this.#field} is no UTF-8`)
    return this.#bytes.toString('utf8', from, this.#at)
  }

  /** `bytes` that hold text; what is no UTF-8 in them shows as U+FFFD. */
  bytesAsText(): string {
    this.#expect(LENGTH_DELIMITED)
    const from = this.#take()
    return this.#bytes.toString('utf8', from, this.#at)
  }

  #expect(type: number): void {
    if (this.#type !== type)
      this.#fail(`field ${this.#field} has wire type ${this.#type} where ${type} belongs`)
  }

  /** Goes past what a length announces; where that begins. */
  #take(): number {
    const length = this.#length()
    const from = this.#at
    this.#at += length
    return from
  }

  /** A length, and proof that so many bytes are there. */
  #length(): number {
    this.#varint()
    const length = this.#middle * 0x1000_0000 + this.#low
    const left = this.#end - this.#at
    if (this.#high !== 0 || length > left)
      this.#fail(`field ${this.#field} claims more bytes than the ${left} that are left`)
    return length
  }

  #advance(count: number): void {
    if (this.#end - this.#at < count) this.#fail(`field ${this.#field} is cut off`)
    this.#at += count
  }

  #varint(): void {
    const bytes = this.#bytes
    let at = this.#at
    // Tags, most lengths and small numbers: the loop below is slow as long as nothing has compiled it.
    const first = bytes[at] as number
    if (first < 0x80 && at !== this.#end) {
      this.#at = at + 1
      this.#low = first
      this.#middle = 0
      this.#high = 0
      return
    }
    let low = 0
    let middle = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at === this.#end) this.#fail('it ends inside a number')
      const byte = bytes[at++] as number
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift < 56) middle |= bits << (shift - 28)
      else high |= bits << (shift - 56)
      if (byte > 0x7f) continue
      if (high > 0xff) break
      this.#at = at
      this.#low = low
      this.#middle = middle
      this.#high = high
      return
    }
    this.#fail('a number of more than 64 bits')
  }

  #fail(why: string): never {
    throw new WireError(
      `the bytes are no ${this.#message}: ${why} (at byte ${this.#at} of ${this.#bytes.byteLength})`,
    )
  }
}

/** Writes a message field by field. What is empty, zero or false is the default and left out, except where said. */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(256)
  #length = 0

  bytes(field: number, value: Uint8Array): this {
    return value.byteLength === 0 ? this : this.message(field, value)
  }

  string(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value))
  }

  /** An encoded message; written even if it's empty. */
  message(field: number, encoded: Uint8Array): this {
    this.#varint((field << 3) | LENGTH_DELIMITED)
    this.#varint(encoded.byteLength)
    this.#reserve(encoded.byteLength)
    this.#bytes.set(encoded, this.#length)
    this.#length += encoded.byteLength
    return this
  }

  int64(field: number, value: bigint): this {
    return value === 0n ? this : this.chosenInt64(field, value)
  }

  /** One of a `oneof`: that it's there says something, so zero is written too. */
  chosenInt64(field: number, value: bigint): this {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} is no 64-bit integer`)
    this.#varint(field << 3)
    let rest = BigInt.asUintN(64, value)
    for (; rest > 0x7fn; rest >>= 7n) this.#byte(Number(rest & 0x7fn) | 0x80)
    this.#byte(Number(rest))
    return this
  }

  enumeration(field: number, value: number): this {
    return this.int64(field, BigInt(value))
  }

  bool(field: number, value: boolean): this {
    return this.int64(field, value ? 1n : 0n)
  }

  /** What was written. Nothing may be written after that. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** For tags and lengths: below 2^31. */
  #varint(value: number): void {
    let rest = value
    for (; rest > 0x7f; rest >>>= 7) this.#byte((rest & 0x7f) | 0x80)
    this.#byte(rest)
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#bytes.byteLength) return
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.byteLength))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}
