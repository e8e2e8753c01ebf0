// Bytes of netlink messages (linux/netlink.h): what a request and a reply are, and the Writer of requests. Replies are
// read by attributes.ts. Host order is little-endian on every machine we run on; `be` marks fields in network order.
import { ipToBytes, ipv4ToNumber, isIPv4, type Ip } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'

/** nlmsg_flags. */
export const NLM_F = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  echo: 0x8,
  dumpInterrupted: 0x10,
  /** Requests that read. */
  dump: 0x300,
  match: 0x200,
  /** Requests that write. */
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
} as const

/** Bits of an attribute's type: flags, and the type itself. */
const NLA_F_NESTED = 0x8000
export const NLA_TYPE_MASK = 0x3fff

/** A request, all but its sequence number. `request` is set in its flags by the socket. */
export interface Message {
  readonly type: number
  readonly flags: number
  /** The family's header and attributes, padded to 4 bytes. */
  readonly body: Uint8Array
  /** For errors: what was tried on what, e.g. `put route 10.1.2.0/24`. */
  readonly subject: string
}

/** One message of the kernel's. */
export interface Reply {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  /** nlmsg_pid: in a notification the port of the socket whose request caused it; 0 for the kernel's own doing. */
  readonly port: number
  /** A view, valid as long as its buffer isn't reused; see the giver. */
  readonly body: Uint8Array
}

export const HEADER_BYTES = 16
export const align4 = (bytes: number): number => (bytes + 3) & ~3

const encoder = new TextEncoder()

export class Writer {
  #bytes = new Uint8Array(4096)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  /** A message whose body `build` writes. */
  static message(type: number, flags: number, subject: string, build: (w: Writer) => void): Message {
    return { type, flags, body: shared.#record(build), subject }
  }

  #record(build: (w: Writer) => void): Uint8Array {
    const start = this.#length
    try {
      build(this)
      this.#pad()
      return this.#bytes.slice(start, this.#length)
    } finally {
      this.#length = start
    }
  }

  #reserve(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  #pad(): void {
    const bytes = align4(this.#length) - this.#length
    if (bytes > 0) this.zero(bytes)
  }

  u8(value: number): this {
    const at = this.#reserve(1)
    this.#bytes[at] = value
    return this
  }
  u16(value: number): this {
    const at = this.#reserve(2)
    this.#view.setUint16(at, value, true)
    return this
  }
  u32(value: number): this {
    const at = this.#reserve(4)
    this.#view.setUint32(at, value, true)
    return this
  }
  u64(value: bigint): this {
    const at = this.#reserve(8)
    this.#view.setBigUint64(at, value, true)
    return this
  }
  be16(value: number): this {
    const at = this.#reserve(2)
    this.#view.setUint16(at, value)
    return this
  }
  be32(value: number): this {
    const at = this.#reserve(4)
    this.#view.setUint32(at, value)
    return this
  }
  be64(value: bigint): this {
    const at = this.#reserve(8)
    this.#view.setBigUint64(at, value)
    return this
  }
  zero(bytes: number): this {
    const at = this.#reserve(bytes)
    this.#bytes.fill(0, at, at + bytes)
    return this
  }
  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  ip(ip: Ip): this {
    return isIPv4(ip) ? this.be32(ipv4ToNumber(ip)) : this.raw(ipToBytes(ip))
  }

  /** An attribute whose value `build` writes: a nest, or anything the shorthands below don't know. */
  attribute(type: number, build: (w: Writer) => void): this {
    const start = this.#reserve(4)
    build(this)
    this.#head(start, type, this.#length - start)
    this.#pad()
    return this
  }
  /** Attributes inside an attribute, marked as such (NLA_F_NESTED). Old families (IFLA_LINKINFO) use `attribute`. */
  nest(type: number, build: (w: Writer) => void): this {
    return this.attribute(type | NLA_F_NESTED, build)
  }

  #attr(type: number, bytes: number): number {
    this.#head(this.#reserve(4), type, 4 + bytes)
    return this.#reserve(bytes)
  }
  #head(at: number, type: number, length: number): void {
    if (length > 0xffff)
      throw new RangeError(`netlink attribute ${type & NLA_TYPE_MASK} has ${length} bytes, more than 65535`)
    this.#view.setUint16(at, length, true)
    this.#view.setUint16(at + 2, type, true)
  }
  attrFlag(type: number): this {
    this.#attr(type, 0)
    return this
  }
  attrU8(type: number, value: number): this {
    const at = this.#attr(type, 4)
    this.#view.setUint32(at, value & 0xff, true)
    this.#view.setUint16(at - 4, 5, true)
    return this
  }
  attrU16(type: number, value: number): this {
    const at = this.#attr(type, 4)
    this.#view.setUint32(at, value & 0xffff, true)
    this.#view.setUint16(at - 4, 6, true)
    return this
  }
  attrU32(type: number, value: number): this {
    const at = this.#attr(type, 4)
    this.#view.setUint32(at, value, true)
    return this
  }
  attrU64(type: number, value: bigint): this {
    const at = this.#attr(type, 8)
    this.#view.setBigUint64(at, value, true)
    return this
  }
  attrBe16(type: number, value: number): this {
    return this.attrU16(type, ((value & 0xff) << 8) | ((value >>> 8) & 0xff))
  }
  attrBe32(type: number, value: number): this {
    const at = this.#attr(type, 4)
    this.#view.setUint32(at, value)
    return this
  }
  attrBe64(type: number, value: bigint): this {
    const at = this.#attr(type, 8)
    this.#view.setBigUint64(at, value)
    return this
  }
  attrBytes(type: number, bytes: Uint8Array): this {
    const at = this.#attr(type, bytes.length)
    this.#bytes.set(bytes, at)
    this.#pad()
    return this
  }
  /** Text with its closing NUL. */
  attrText(type: number, value: string): this {
    if (value.includes('\0')) throw new RangeError(`${JSON.stringify(value)} holds a NUL character`)
    return this.attrBytes(type, encoder.encode(`${value}\0`))
  }
  attrIp(type: number, ip: Ip): this {
    return isIPv4(ip) ? this.attrBe32(type, ipv4ToNumber(ip)) : this.attrBytes(type, ipToBytes(ip))
  }
  attrMac(type: number, mac: Mac): this {
    const at = this.#attr(type, 6)
    for (let i = 0; i < 6; i++)
      this.#bytes[at + i] = (hex(mac.charCodeAt(i * 3)) << 4) | hex(mac.charCodeAt(i * 3 + 1))
    return this.zero(2)
  }
}
const shared = new Writer()

/** The value of a lower-case hexadecimal digit's character code. */
const hex = (code: number): number => (code >= 97 ? code - 87 : code - 48)
