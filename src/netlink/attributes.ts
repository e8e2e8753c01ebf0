// Reads the attributes of the kernel's netlink messages without copying them.
import { ipFromBytes, type Ip } from '../model/ip.ts'
import { macFromBytes, type Mac } from '../model/mac.ts'
import { malformed } from './error.ts'
import { align4, NLA_TYPE_MASK } from './wire.ts'

const text = new TextDecoder()

/**
 * A cursor over attributes: `while (a.next()) switch (a.type) …`. Values that are shorter than what is asked for, and
 * lengths that leave the message, throw a NetlinkError `malformed`.
 */
export class Attributes {
  /** Without its flag bits. */
  type = 0
  /** Bytes of the value. */
  length = 0
  readonly #bytes: Uint8Array
  readonly #end: number
  readonly #what: string
  #at = 0
  #next: number

  /** Attributes of `bytes` after `header` bytes. `what` names the message in errors. */
  constructor(bytes: Uint8Array, header: number, what: string, end = bytes.length) {
    if (end < header) throw malformed(`${what} of ${end} bytes, shorter than its header of ${header}`)
    this.#bytes = bytes
    this.#next = align4(header)
    this.#end = end
    this.#what = what
  }

  next(): boolean {
    const start = this.#next
    if (start >= this.#end) return false
    if (this.#end - start < 4) throw malformed(`${this.#what} ends in the middle of an attribute's header`)
    const length = u16(this.#bytes, start)
    if (length < 4 || start + length > this.#end)
      throw malformed(`${this.#what} has an attribute of ${length} bytes where ${this.#end - start} are left`)
    this.type = u16(this.#bytes, start + 2) & NLA_TYPE_MASK
    this.length = length - 4
    this.#at = start + 4
    this.#next = align4(start + length)
    return true
  }

  #need(bytes: number): number {
    if (this.length < bytes)
      throw malformed(`attribute ${this.type} of ${this.#what} has ${this.length} bytes, not ${bytes}`)
    return this.#at
  }
  u8(): number {
    return this.#bytes[this.#need(1)] ?? 0
  }
  u16(): number {
    return u16(this.#bytes, this.#need(2))
  }
  u32(): number {
    return u32(this.#bytes, this.#need(4))
  }
  i32(): number {
    return u32(this.#bytes, this.#need(4)) | 0
  }
  u64(): bigint {
    const at = this.#need(8)
    return (BigInt(u32(this.#bytes, at + 4)) << 32n) | BigInt(u32(this.#bytes, at))
  }
  be16(): number {
    const at = this.#need(2)
    return ((this.#bytes[at] ?? 0) << 8) | (this.#bytes[at + 1] ?? 0)
  }
  be32(): number {
    const value = u32(this.#bytes, this.#need(4))
    return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0
  }
  be64(): bigint {
    const at = this.#need(8)
    let value = 0n
    for (let i = 0; i < 8; i++) value = (value << 8n) | BigInt(this.#bytes[at + i] ?? 0)
    return value
  }
  /** The value, as a view. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#at + this.length)
  }
  /** Text up to its NUL. */
  text(): string {
    const value = this.bytes()
    const end = value.indexOf(0)
    return text.decode(end < 0 ? value : value.subarray(0, end))
  }
  ip(): Ip {
    if (this.length !== 4 && this.length !== 16)
      throw malformed(`attribute ${this.type} of ${this.#what} has ${this.length} bytes: no IP address`)
    return ipFromBytes(this.bytes())
  }
  mac(): Mac {
    if (this.length !== 6)
      throw malformed(`attribute ${this.type} of ${this.#what} has ${this.length} bytes: no MAC address`)
    return macFromBytes(this.bytes())
  }
  /** The attributes inside this one. */
  nested(): Attributes {
    const inner = new Attributes(this.#bytes, 0, this.#what, this.#at + this.length)
    inner.#next = this.#at
    return inner
  }
}

/** Little-endian fields of fixed headers; the caller has checked the length. */
export const u16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
export const u32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)) >>>
  0
