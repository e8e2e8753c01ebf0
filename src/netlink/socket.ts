// A netlink socket for requests: one at a time with its acknowledgement, dumps, and batches that report each message's
// own error. The kernel answers inside send(), so all of it is synchronous and nothing is left behind between calls.
import type { Namespace } from '../sys/namespace.ts'
import { Channel } from './channel.ts'
import { NetlinkError } from './error.ts'
import type { Imprint } from './imprint.ts'
import type { Protocol } from './open.ts'
import { NLMSG, splitMessages, statusOf } from './reply.ts'
import { HEADER_BYTES, NLM_F, type Message, type Reply } from './wire.ts'

/** What may wait for us in the kernel: thousands of error reports of one batch. */
const RECEIVE_BUFFER_BYTES = 4 << 20
/** A batch's bytes in one send: the kernel answers within it, so this bounds how long the event loop is held. */
const BATCH_BYTES = 128 << 10
/** What one error report may occupy of a receive buffer, with its bookkeeping; a little more than ever seen. */
const REPORT_BYTES = 2048
const DUMP_TRIES = 8

export type { Protocol } from './open.ts'

export class NetlinkSocket implements Disposable {
  readonly #channel: Channel
  readonly #batchMessages: number
  readonly #batchBytes: number
  #state: 'idle' | 'busy' | 'broken off' = 'idle'

  private constructor(channel: Channel) {
    this.#channel = channel
    this.#batchMessages = Math.max(1, Math.floor(channel.receiveBufferBytes / REPORT_BYTES))
    this.#batchBytes = Math.min(BATCH_BYTES, channel.sendBufferBytes - 64)
  }

  /** In `namespace` for good, else in this thread's. A small receive buffer only makes batches go in more sends. */
  static open(
    protocol: Protocol,
    namespace?: Namespace,
    receiveBufferBytes = RECEIVE_BUFFER_BYTES,
  ): NetlinkSocket {
    return new NetlinkSocket(new Channel(protocol, namespace, receiveBufferBytes))
  }

  /** nlmsg_pid of our requests; notifications carry it as their `port`. */
  get port(): number {
    return this.#channel.port
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
    for (const some of this.#portions(messages))
      for (const error of this.#exchange(some, 0, ignore)) results.push(error)
    return results
  }

  /**
   * Questions that are answered by one message each, in order: what `parse`, which must not keep the body, makes of the
   * answer, or the refusal. Far cheaper than single requests.
   */
  ask<T>(messages: readonly Message[], parse: (reply: Reply) => T): (T | NetlinkError)[] {
    const results: (T | NetlinkError)[] = []
    for (const some of this.#portions(messages)) {
      const answers = new Map<number, T>()
      const errors = this.#exchange(some, 0, (reply, index) => void answers.set(index, parse(reply)))
      for (const [index, { subject }] of some.entries()) {
        const answer = errors[index] ?? answers.get(index)
        if (answer === undefined) throw new NetlinkError('lost', `${subject}: the kernel did not answer`)
        results.push(answer)
      }
    }
    return results
  }

  /** As many as fit into one send, and whose reports fit into the receive buffer. */
  *#portions(messages: readonly Message[]): Generator<readonly Message[]> {
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
      yield messages.slice(from, to)
      from = to
    }
  }

  /**
   * Messages that must reach the kernel in one send, as an nf_tables transaction: for each its error. Flags are left as
   * they are, so `ack` must be set on at least one message that is always acknowledged.
   */
  transaction(messages: readonly Message[]): (NetlinkError | undefined)[] {
    return this.#exchange(messages, undefined, ignore)
  }

  /**
   * Every object the kernel reports, each copied; or parsed in place by `parse`, which must not keep the body. `imprint`,
   * made of the same message, is filled.
   */
  dump(message: Message): Reply[]
  dump<T>(message: Message, parse: (reply: Reply) => T | undefined, imprint?: Imprint): T[]
  dump<T>(message: Message, parse?: (reply: Reply) => T | undefined, imprint?: Imprint): (T | Reply)[] {
    for (let tries = 1; ; tries++) {
      const result = this.#alone(message.subject, () => this.#dumpOnce(message, parse, imprint))
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
    imprint: Imprint | undefined,
  ): (T | Reply)[] | undefined {
    const sequence = this.#channel.send([message], NLM_F.dump)
    imprint?.begin(sequence)
    const found: (T | Reply)[] = []
    let interrupted = false
    let done = false
    while (!done) {
      const datagram = this.#channel.datagram(true, message.subject)
      const replies = splitMessages(datagram)
      imprint?.add(datagram, replies)
      for (const reply of replies) {
        if (reply.sequence !== sequence) continue
        if ((reply.flags & NLM_F.dumpInterrupted) !== 0) interrupted = true
        if (reply.type === NLMSG.done || reply.type === NLMSG.error) {
          const refusal = statusOf(reply, message)
          if (refusal !== undefined) throw refusal
          done = true
        } else if (!interrupted) {
          const value = parse === undefined ? { ...reply, body: reply.body.slice() } : parse(reply)
          if (value !== undefined) found.push(value)
        }
      }
    }
    return interrupted ? undefined : found
  }

  /**
   * Whether a dump would show now what the one showed that filled `imprint`. Reads nothing of it: false wherever a byte
   * is different, as after an error or an interruption.
   */
  repeats(imprint: Imprint): boolean {
    const { message } = imprint
    if (imprint.length === 0) return false
    return this.#alone(message.subject, () => {
      this.#channel.sendAs(imprint.sequence, [message], NLM_F.dump)
      for (let index = 0; index < imprint.length; index++) {
        const datagram = this.#channel.datagram(false, message.subject)
        if (datagram !== undefined && imprint.fits(index, datagram)) continue
        this.#channel.discard()
        return false
      }
      return true
    })
  }

  /** Sends all at once and reads all replies. With `flags` every message gets those, and the last one `ack` too. */
  #exchange(
    messages: readonly Message[],
    flags: number | undefined,
    each: (reply: Reply, index: number) => void,
  ): (NetlinkError | undefined)[] {
    const last = messages.at(-1)
    return last === undefined
      ? []
      : this.#alone(last.subject, () => this.#exchangeAlone(messages, last, flags, each))
  }

  #exchangeAlone(
    messages: readonly Message[],
    last: Message,
    flags: number | undefined,
    each: (reply: Reply, index: number) => void,
  ): (NetlinkError | undefined)[] {
    const first = this.#channel.send(messages, flags)
    const results: (NetlinkError | undefined)[] = messages.map(() => undefined)
    let answered = 0
    for (;;) {
      let some = false
      for (const reply of this.#channel.receive(false, last.subject)) {
        some = true
        const index = (reply.sequence - first) >>> 0
        const message = messages[index]
        if (message === undefined) continue
        if (reply.type === NLMSG.error) {
          results[index] ??= statusOf(reply, message)
          answered++
          if (index === messages.length - 1 && flags !== undefined) answered = Infinity
        } else each(reply, index)
      }
      if (!some) break
    }
    if (flags === undefined ? answered === 0 : answered !== Infinity)
      throw new NetlinkError('lost', `${last.subject}: the kernel did not answer; look before trying again`)
    return results
  }

  /** One exchange at a time. One that was broken off may have left replies behind: they are thrown away. */
  #alone<T>(subject: string, exchange: () => T): T {
    if (!this.#channel.open) throw new Error(`${subject}: this netlink socket is closed`)
    if (this.#state === 'busy')
      throw new Error(`${subject}: this netlink socket is in the middle of another exchange`)
    if (this.#state === 'broken off') this.#channel.discard()
    this.#state = 'busy'
    let whole = false
    try {
      const result = exchange()
      whole = true
      return result
    } finally {
      this.#state = whole ? 'idle' : 'broken off'
    }
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]()
  }
}

const ignore = (): void => undefined
