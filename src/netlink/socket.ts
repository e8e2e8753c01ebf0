// A netlink socket for requests: one at a time with its acknowledgement, dumps, and batches that report each message's
// own error. The kernel answers inside send(), so all of it is synchronous and nothing is left behind between calls.
import { allocate, type Block } from '../sys/arena.ts'
import { close, getsockname, getsockoptInt, isSysError, MSG, recvfrom, sendto } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { u32 } from './attributes.ts'
import { malformed, NetlinkError } from './error.ts'
import { openNetlink, type Protocol, SO, SOL_SOCKET, TIMEOUT_SECONDS } from './open.ts'
import { NLMSG, splitMessages, statusOf } from './reply.ts'
import { align4, HEADER_BYTES, NLM_F, type Message, type Reply } from './wire.ts'

/** More than the kernel puts into one datagram of a dump (32 KiB), or of a single object. */
const RECEIVE_BYTES = 64 << 10
/** What may wait for us in the kernel: thousands of error reports of one batch. */
const RECEIVE_BUFFER_BYTES = 4 << 20
/** A message's bytes in one send: the kernel answers within it, so this bounds how long the event loop is held. */
const BATCH_BYTES = 128 << 10
/** What one error report may occupy of a receive buffer, with its bookkeeping; a little more than ever seen. */
const REPORT_BYTES = 2048
const DUMP_TRIES = 8

export type { Protocol } from './open.ts'

export class NetlinkSocket implements Disposable {
  readonly #fd: number
  readonly #receive: Block = allocate(RECEIVE_BYTES)
  readonly #sender: Block = allocate(16)
  #send: Block = allocate(BATCH_BYTES)
  #sequence = 0
  #busy = false
  #open = true
  /** nlmsg_pid of our requests; notifications carry it as their `port`. */
  readonly port: number
  readonly #batchMessages: number
  readonly #batchBytes: number

  private constructor(fd: number) {
    this.#fd = fd
    this.port = u32(getsockname(fd), 4)
    this.#batchMessages = Math.max(
      1,
      Math.floor(getsockoptInt(fd, SOL_SOCKET, SO.receiveBuffer) / REPORT_BYTES),
    )
    this.#batchBytes = Math.min(BATCH_BYTES, getsockoptInt(fd, SOL_SOCKET, SO.sendBuffer) - 64)
  }

  /** In `namespace` for good, else in this thread's. A small receive buffer only makes batches go in more sends. */
  static open(
    protocol: Protocol,
    namespace?: Namespace,
    receiveBufferBytes = RECEIVE_BUFFER_BYTES,
  ): NetlinkSocket {
    const fd = openNetlink(protocol, namespace, receiveBufferBytes)
    try {
      return new NetlinkSocket(fd)
    } catch (error) {
      close(fd)
      throw error
    }
  }

  /** One request, acknowledged. Returns what the kernel answered besides (usually nothing). Throws NetlinkError. */
  request(message: Message): Reply[] {
    const replies: Reply[] = []
    const [error] = this.#exchange([message], NLM_F.ack, (reply) =>
      replies.push({ ...reply, body: reply.body.slice() }),
    )
    if (error !== undefined) throw error
    return replies
  }

  /**
   * Writes that don't depend on each other's success, in order: for each its error, or undefined where it succeeded.
   * Far cheaper than single requests. Never throws for a refusal.
   */
  batch(messages: readonly Message[]): (NetlinkError | undefined)[] {
    const results: (NetlinkError | undefined)[] = []
    let from = 0
    while (from < messages.length) {
      let to = from
      let bytes = 0
      while (to < messages.length && to - from < this.#batchMessages) {
        const size = HEADER_BYTES + (messages[to]?.body.length ?? 0)
        if (to > from && bytes + size > this.#batchBytes) break
        bytes += size
        to++
      }
      for (const error of this.#exchange(messages.slice(from, to), 0, ignore)) results.push(error)
      from = to
    }
    return results
  }

  /**
   * Messages that must reach the kernel in one send, as an nf_tables transaction: for each its error. Flags are left as
   * they are, so `ack` must be set on at least one message that is always acknowledged.
   */
  transaction(messages: readonly Message[]): (NetlinkError | undefined)[] {
    return this.#exchange(messages, undefined, ignore)
  }

  /** Every object the kernel reports, each copied; or parsed in place by `parse`, which must not keep the body. */
  dump(message: Message): Reply[]
  dump<T>(message: Message, parse: (reply: Reply) => T | undefined): T[]
  dump<T>(message: Message, parse?: (reply: Reply) => T | undefined): (T | Reply)[] {
    for (let tries = 1; ; tries++) {
      const result = this.#dumpOnce(message, parse)
      if (result !== undefined) return result
      if (tries === DUMP_TRIES)
        throw new NetlinkError(
          'interrupted',
          `${message.subject}: the table changed during each of ${tries} reads; try again when it is quieter`,
        )
    }
  }

  /** Undefined if the dump was inconsistent (NLM_F_DUMP_INTR). */
  #dumpOnce<T>(
    message: Message,
    parse: ((reply: Reply) => T | undefined) | undefined,
  ): (T | Reply)[] | undefined {
    using _ = this.#occupy(message.subject)
    const sequence = this.#write([message], NLM_F.dump)
    const found: (T | Reply)[] = []
    let interrupted = false
    let failure: unknown
    let done = false
    while (!done)
      for (const reply of this.#read(0, message.subject)) {
        if (reply.sequence !== sequence) continue
        if ((reply.flags & NLM_F.dumpInterrupted) !== 0) interrupted = true
        if (reply.type === NLMSG.done || reply.type === NLMSG.error) {
          failure ??= statusOf(reply, message)
          done = true
        } else if (failure === undefined && !interrupted)
          // Read on after a failure of the parser's: a dump left half read would answer EBUSY to the next one.
          try {
            const value = parse === undefined ? { ...reply, body: reply.body.slice() } : parse(reply)
            if (value !== undefined) found.push(value)
          } catch (error) {
            failure = error
          }
      }
    if (failure !== undefined) throw failure
    return interrupted ? undefined : found
  }

  /** Sends all at once and reads all replies. With `flags` every message gets those, and the last one `ack` too. */
  #exchange(
    messages: readonly Message[],
    flags: number | undefined,
    each: (reply: Reply) => void,
  ): (NetlinkError | undefined)[] {
    const last = messages.at(-1)
    if (last === undefined) return []
    using _ = this.#occupy(last.subject)
    const first = this.#write(messages, flags)
    const results: (NetlinkError | undefined)[] = messages.map(() => undefined)
    let answered = 0
    for (;;) {
      let some = false
      for (const reply of this.#read(MSG.dontWait, last.subject)) {
        some = true
        const index = (reply.sequence - first) >>> 0
        const message = messages[index]
        if (message === undefined) continue
        if (reply.type === NLMSG.error) {
          results[index] ??= statusOf(reply, message)
          answered++
          if (index === messages.length - 1 && flags !== undefined) answered = Infinity
        } else each(reply)
      }
      if (!some) break
    }
    if (flags === undefined ? answered === 0 : answered !== Infinity)
      throw new NetlinkError('lost', `${last.subject}: the kernel did not answer; look before trying again`)
    return results
  }

  #occupy(subject: string): Disposable {
    if (!this.#open) throw new Error(`${subject}: this netlink socket is closed`)
    if (this.#busy) throw new Error(`${subject}: this netlink socket is in the middle of another exchange`)
    this.#busy = true
    return { [Symbol.dispose]: () => void (this.#busy = false) }
  }

  /** Puts the messages into one datagram and sends it; returns the sequence number of the first. */
  #write(messages: readonly Message[], flags: number | undefined): number {
    const first = (this.#sequence + 1) >>> 0
    let length = 0
    for (const message of messages) length += HEADER_BYTES + align4(message.body.length)
    if (length > this.#send.bytes.length) {
      this.#send[Symbol.dispose]()
      this.#send = allocate(length)
    }
    let at = 0
    const { view, bytes } = this.#send
    for (const [index, message] of messages.entries()) {
      this.#sequence = (this.#sequence + 1) >>> 0
      const extra = flags === undefined ? 0 : index === messages.length - 1 ? flags | NLM_F.ack : flags
      view.setUint32(at, HEADER_BYTES + message.body.length, true)
      view.setUint16(at + 4, message.type, true)
      view.setUint16(at + 6, message.flags | NLM_F.request | extra, true)
      view.setUint32(at + 8, this.#sequence, true)
      view.setUint32(at + 12, this.port, true)
      bytes.set(message.body, at + HEADER_BYTES)
      at += HEADER_BYTES + align4(message.body.length)
    }
    sendto(this.#fd, this.#send.address, length, 0)
    return first
  }

  /** The messages of the next datagram that the kernel sent; none if there is none. Bodies are views of the buffer. */
  #read(flags: number, subject: string): Reply[] {
    for (;;) {
      const length = this.#receiveOne(flags, subject)
      if (length === undefined) {
        if ((flags & MSG.dontWait) !== 0) return []
        throw new NetlinkError(
          'lost',
          `${subject}: no reply in ${TIMEOUT_SECONDS} s; look before trying again`,
        )
      }
      // Any process may send to our port: only the kernel's is port 0.
      if (this.#sender.view.getUint32(4, true) !== 0) continue
      if (length > RECEIVE_BYTES)
        throw malformed(`${subject}: ${length} bytes in one datagram, more than ${RECEIVE_BYTES}`)
      return splitMessages(this.#receive.bytes.subarray(0, length))
    }
  }

  #receiveOne(flags: number, subject: string): number | undefined {
    const from = { address: this.#sender.address, bytes: 12 }
    try {
      return recvfrom(this.#fd, this.#receive.address, RECEIVE_BYTES, flags | MSG.trunc, from)
    } catch (cause) {
      if (isSysError(cause, 'ENOBUFS')) {
        this.#discard()
        throw new NetlinkError(
          'lost',
          `${subject}: replies overran the receive buffer; look before trying again`,
          { cause },
        )
      }
      throw cause
    }
  }

  /** Empties the receive buffer, and drives a dump that is under way to its end: the next exchange starts afresh. */
  #discard(): void {
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

const ignore = (): void => undefined
