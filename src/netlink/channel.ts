// A netlink descriptor with its buffers: datagrams of messages out, datagrams of messages in.
import { allocate, type Block } from '../sys/arena.ts'
import { close, getsockname, getsockoptInt, isSysError, MSG, recvfrom, sendto } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { u32 } from './attributes.ts'
import { malformed, NetlinkError, refused } from './error.ts'
import { openNetlink, type Protocol, SO, SOL_SOCKET, TIMEOUT_SECONDS } from './open.ts'
import { splitMessages } from './reply.ts'
import { align4, HEADER_BYTES, NLM_F, type Message, type Reply } from './wire.ts'

/** More than the kernel puts into one datagram of a dump (32 KiB), or of a single object. */
const RECEIVE_BYTES = 64 << 10
/** Where sending begins; it grows with the largest datagram. */
const SEND_BYTES = 128 << 10

export class Channel implements Disposable {
  readonly #fd: number
  readonly #receive: Block = allocate(RECEIVE_BYTES)
  readonly #sender: Block = allocate(16)
  #send: Block = allocate(SEND_BYTES)
  #sequence = 0
  #open = true
  /** nlmsg_pid of what we send. */
  readonly port: number
  /** What the kernel lets wait for us, and takes in one datagram. */
  readonly receiveBufferBytes: number
  readonly sendBufferBytes: number

  constructor(protocol: Protocol, namespace: Namespace | undefined, receiveBufferBytes: number) {
    this.#fd = openNetlink(protocol, namespace, receiveBufferBytes)
    this.port = u32(getsockname(this.#fd), 4)
    this.receiveBufferBytes = getsockoptInt(this.#fd, SOL_SOCKET, SO.receiveBuffer)
    this.sendBufferBytes = getsockoptInt(this.#fd, SOL_SOCKET, SO.sendBuffer)
  }

  get open(): boolean {
    return this.#open
  }

  /**
   * Sends the messages as one datagram; returns the sequence number of the first, the others follow it. Each gets
   * `flags`, and the last one `ack` too; without `flags` they are left as they are.
   */
  send(messages: readonly Message[], flags: number | undefined): number {
    const first = (this.#sequence + 1) >>> 0
    this.#sequence = (this.#sequence + messages.length) >>> 0
    this.sendAs(first, messages, flags)
    return first
  }

  /** As `send`, from a sequence number on that has been used before: all its replies must have been received. */
  sendAs(first: number, messages: readonly Message[], flags: number | undefined): void {
    let length = 0
    for (const message of messages) length += HEADER_BYTES + align4(message.body.length)
    if (length > this.#send.bytes.length) {
      this.#send[Symbol.dispose]()
      this.#send = allocate(length)
    }
    let at = 0
    const { view, bytes } = this.#send
    for (const [index, message] of messages.entries()) {
      const extra = flags === undefined ? 0 : index === messages.length - 1 ? flags | NLM_F.ack : flags
      view.setUint32(at, HEADER_BYTES + message.body.length, true)
      view.setUint16(at + 4, message.type, true)
      view.setUint16(at + 6, message.flags | NLM_F.request | extra, true)
      view.setUint32(at + 8, (first + index) >>> 0, true)
      view.setUint32(at + 12, this.port, true)
      bytes.set(message.body, at + HEADER_BYTES)
      at += HEADER_BYTES + align4(message.body.length)
    }
    try {
      sendto(this.#fd, this.#send.address, length, 0)
    } catch (error) {
      if (!isSysError(error)) throw error
      throw refused(messages[0]?.subject ?? 'nothing', error.errno, `${length} bytes could not be sent`)
    }
  }

  /** The messages of the kernel's next datagram; without `wait` none if there is none yet. Bodies as in `datagram`. */
  receive(wait: boolean, subject: string): Reply[] {
    const datagram = this.datagram(wait, subject)
    return datagram === undefined ? [] : splitMessages(datagram)
  }

  /** The kernel's next datagram, undefined without `wait` if there is none yet: a view that the next call overwrites. */
  datagram(wait: true, subject: string): Uint8Array
  datagram(wait: boolean, subject: string): Uint8Array | undefined
  datagram(wait: boolean, subject: string): Uint8Array | undefined {
    for (;;) {
      const length = this.#receiveOne(wait ? 0 : MSG.dontWait, subject)
      if (length === undefined) {
        if (!wait) return undefined
        throw new NetlinkError(
          'lost',
          `${subject}: no reply in ${TIMEOUT_SECONDS} s; look before trying again`,
        )
      }
      // Any process may send to our port: only the kernel's is port 0.
      if (this.#sender.view.getUint32(4, true) !== 0) continue
      if (length > RECEIVE_BYTES)
        throw malformed(`${subject}: ${length} bytes in one datagram, more than ${RECEIVE_BYTES}`)
      return this.#receive.bytes.subarray(0, length)
    }
  }

  #receiveOne(flags: number, subject: string): number | undefined {
    const from = { address: this.#sender.address, bytes: 12 }
    try {
      return recvfrom(this.#fd, this.#receive.address, RECEIVE_BYTES, flags | MSG.trunc, from)
    } catch (cause) {
      if (!isSysError(cause, 'ENOBUFS')) throw cause
      const message = `${subject}: replies overran the receive buffer; look before trying again`
      throw new NetlinkError('lost', message, { cause })
    }
  }

  /** Empties the receive buffer, and drives a dump that is under way to its end: the next exchange starts afresh. */
  discard(): void {
    for (;;)
      try {
        if (recvfrom(this.#fd, this.#receive.address, RECEIVE_BYTES, MSG.dontWait) === undefined) return
      } catch (error) {
        if (!isSysError(error, 'ENOBUFS')) throw error
      }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    close(this.#fd)
    for (const block of [this.#receive, this.#sender, this.#send]) block[Symbol.dispose]()
  }
}
