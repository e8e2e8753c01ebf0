// Listens to the kernel's notifications. They are hints to look again, never the truth: what is lost is told as an
// overrun, and then everything may have changed.
import { allocate, type Block } from '../sys/arena.ts'
import { close, isSysError, MSG, recvfrom, setsockoptInt } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { register } from '../sys/readiness.ts'
import { NetlinkError } from './error.ts'
import { attachFilter, type FilterRule } from './filter.ts'
import { NETLINK_ADD_MEMBERSHIP, openNetlink, type Protocol, SOL_NETLINK } from './open.ts'
import { splitMessages } from './reply.ts'
import type { Reply } from './wire.ts'

/** Multicast groups of rtnetlink and nfnetlink (RTNLGRP_*, NFNLGRP_*). */
export const GROUP = {
  link: 1,
  neighbour: 3,
  ipv4Address: 5,
  ipv4Route: 7,
  ipv6Address: 9,
  ipv6Route: 11,
  nexthop: 32,
  nftables: 7,
} as const

export type MonitorEvent =
  /** The body is the reader's own copy; `port` is that of the socket whose request caused it. */
  | { readonly kind: 'message'; readonly type: number; readonly port: number; readonly body: Uint8Array }
  /** Notifications were lost: look at everything again. */
  | { readonly kind: 'overrun' }

export interface MonitorOptions {
  readonly protocol?: Protocol
  readonly namespace?: Namespace
  /** In the kernel: what it drops wakes nobody. */
  readonly filter?: readonly FilterRule[]
  readonly receiveBufferBytes?: number
}

const RECEIVE_BYTES = 64 << 10
/** Holds some 10,000 notifications. */
const BUFFER_BYTES = 8 << 20
/** Datagrams read before the event loop gets its turn. */
const MOST_AT_ONCE = 5_000
/** What may wait unread in this process; beyond it an overrun says the same in less memory. */
const MOST_WAITING = 50_000

export class Monitor implements Disposable {
  readonly #fd: number
  readonly #receive: Block
  readonly #sender: Block
  readonly #ready: Disposable
  #waiting: MonitorEvent[] = []
  #wake: (() => void) | undefined
  #reading = false
  #failure: unknown
  #open = true
  /** How many datagrams reached this process. */
  received = 0

  private constructor(fd: number) {
    this.#fd = fd
    this.#receive = allocate(RECEIVE_BYTES)
    this.#sender = allocate(16)
    this.#ready = register(fd, () => this.#drain())
  }

  /** Listens from now on, though nobody reads yet: open it, then dump, and no change falls between. */
  static open(groups: readonly number[], options: MonitorOptions = {}): Monitor {
    const fd = openNetlink(
      options.protocol ?? 'route',
      options.namespace,
      options.receiveBufferBytes ?? BUFFER_BYTES,
    )
    try {
      if (options.filter !== undefined) attachFilter(fd, options.filter)
      for (const group of groups) setsockoptInt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
      return new Monitor(fd)
    } catch (error) {
      close(fd)
      throw error
    }
  }

  /** Other links to care about. Notifications that came before are not looked at again. */
  setFilter(rules: readonly FilterRule[]): void {
    if (this.#open) attachFilter(this.#fd, rules)
  }

  /** What has come in and what comes, until `signal` or disposal ends it. One reader at a time. */
  async *events(signal: AbortSignal): AsyncGenerator<MonitorEvent, void, undefined> {
    for (;;) {
      const batch = await this.batch(signal)
      if (batch === undefined) return
      yield* batch
    }
  }

  /** All that has come in since; undefined once `signal` or disposal has ended it. */
  async batch(signal: AbortSignal): Promise<readonly MonitorEvent[] | undefined> {
    if (!(await this.ready(signal))) return undefined
    const batch = this.#waiting
    this.#waiting = []
    return batch
  }

  /** True once something waits to be taken; false when `signal` or disposal has ended it. */
  async ready(signal: AbortSignal): Promise<boolean> {
    if (this.#reading) throw new Error('this monitor has a reader already')
    this.#reading = true
    try {
      while (this.#waiting.length === 0) {
        if (signal.aborted || !this.#open) return false
        if (this.#failure !== undefined) throw this.#failure
        const { promise, resolve } = Promise.withResolvers<void>()
        const wake = () => resolve()
        this.#wake = wake
        signal.addEventListener('abort', wake, { once: true })
        await promise
        signal.removeEventListener('abort', wake)
      }
      return !signal.aborted
    } finally {
      this.#reading = false
      this.#wake = undefined
    }
  }

  /**
   * All that has come in until now, without waiting: what the kernel sent before this call is among it, so a dump that
   * follows answers every hint so far. A reader that waits goes on waiting. Throws what ended the listening.
   */
  take(): readonly MonitorEvent[] {
    this.#drain(MOST_WAITING, false)
    if (this.#failure !== undefined) throw this.#failure
    const batch = this.#waiting
    this.#waiting = []
    return batch
  }

  #drain(most = MOST_AT_ONCE, wake = true): void {
    try {
      let left = most
      while (this.#open && left > 0 && this.#receiveOne()) left--
      if (left === 0) setImmediate(() => this.#drain())
    } catch (error) {
      this.#failure = error
    }
    if (wake && (this.#waiting.length > 0 || this.#failure !== undefined)) this.#wake?.()
  }

  /** False when nothing is left. */
  #receiveOne(): boolean {
    const from = { address: this.#sender.address, bytes: 12 }
    let length: number | undefined
    try {
      length = recvfrom(this.#fd, this.#receive.address, RECEIVE_BYTES, MSG.dontWait | MSG.trunc, from)
    } catch (error) {
      if (!isSysError(error, 'ENOBUFS')) throw error
      this.#overrun()
      return true
    }
    if (length === undefined) return false
    this.received++
    if (this.#sender.view.getUint32(4, true) !== 0) return true
    if (length > RECEIVE_BYTES) this.#overrun()
    else this.#take(this.#receive.bytes.slice(0, length))
    return true
  }

  #take(datagram: Uint8Array): void {
    let messages: Reply[]
    try {
      messages = splitMessages(datagram)
    } catch (error) {
      // A notification that can't be read is one that was lost.
      if (!(error instanceof NetlinkError)) throw error
      this.#overrun()
      return
    }
    for (const { type, port, body } of messages) this.#waiting.push({ kind: 'message', type, port, body })
    if (this.#waiting.length > MOST_WAITING) this.#overrun()
  }

  /** Makes all that waits superfluous: the reader is going to look at everything. */
  #overrun(): void {
    this.#waiting = [{ kind: 'overrun' }]
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#ready[Symbol.dispose]()
    close(this.#fd)
    this.#receive[Symbol.dispose]()
    this.#sender[Symbol.dispose]()
    this.#wake?.()
  }
}
