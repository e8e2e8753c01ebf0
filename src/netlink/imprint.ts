// The imprint of a dump: enough to tell later whether the kernel would say the same again, without reading what it says.
import { hash64 } from '../sys/hash.ts'
import { Attributes } from './attributes.ts'
import { NLMSG } from './reply.ts'
import type { Message, Reply } from './wire.ts'

/** What changes by itself in every object of a dump (ages, use counts): one attribute after a header of so many bytes. */
export interface Volatile {
  readonly header: number
  readonly attribute: number
}

/** One datagram of a dump, with all that is volatile in it blanked. */
interface Sheet {
  readonly bytes: number
  readonly hash: bigint
  /** Pairs of offset and length: where it was blanked. */
  readonly blanks: Uint16Array
}

/**
 * Filled by `NetlinkSocket.dump` and compared by `NetlinkSocket.repeats`, which asks under the same sequence number, so
 * that the same objects are the same bytes. The order of the objects and the datagrams' bounds count too: where they
 * differ, the dumps do.
 */
export class Imprint {
  readonly message: Message
  readonly #volatile: Volatile | undefined
  #sequence = 0
  #sheets: Sheet[] = []

  /** Of the answer to `message`. Nobody may read what is `volatile`: it is blanked in what is parsed, too. */
  constructor(message: Message, volatile?: Volatile) {
    this.message = message
    this.#volatile = volatile
  }

  get sequence(): number {
    return this.#sequence
  }
  /** How many datagrams the dump had. */
  get length(): number {
    return this.#sheets.length
  }

  /** A dump begins: what was before is forgotten. */
  begin(sequence: number): void {
    this.#sequence = sequence
    this.#sheets = []
  }

  /** The dump's next datagram, and the messages in it. Blanks what is volatile. */
  add(datagram: Uint8Array, replies: readonly Reply[]): void {
    const blanks: number[] = []
    if (this.#volatile !== undefined)
      for (const { type, body } of replies) {
        if (type === NLMSG.done || type === NLMSG.error) continue
        const attributes = new Attributes(body, this.#volatile.header, this.message.subject)
        while (attributes.next()) {
          if (attributes.type !== this.#volatile.attribute) continue
          const value = attributes.bytes()
          value.fill(0)
          blanks.push(value.byteOffset - datagram.byteOffset, value.length)
        }
      }
    this.#sheets.push({ bytes: datagram.length, hash: hash64(datagram), blanks: Uint16Array.from(blanks) })
  }

  /**
   * Whether the `index`-th datagram was the same. Blanks it where that one was blanked: if both agree everywhere else,
   * the headers of their attributes do, so the blanks were over the volatile ones of both.
   */
  fits(index: number, datagram: Uint8Array): boolean {
    const sheet = this.#sheets[index]
    if (sheet === undefined || datagram.length !== sheet.bytes) return false
    const { blanks } = sheet
    for (let i = 0; i < blanks.length; i += 2) {
      const at = blanks[i] ?? 0
      datagram.fill(0, at, at + (blanks[i + 1] ?? 0))
    }
    return hash64(datagram) === sheet.hash
  }
}
