// Listens to the kernel's notifications. They are hints to look again, never the truth: what is lost is told as an
// overrun, and then everything may have changed. A socket that can't be read is replaced by another.
import { allocate } from '../sys/arena.ts'
import { close, isSysError, MSG, recvfrom, setsockoptInt } from '../sys/libc.ts'
import { log } from '../sys/log.ts'
import type { Namespace } from '../sys/namespace.ts'
import { register } from '../sys/readiness.ts'
import { NetlinkError } from './error.ts'
import { attachFilter, type FilterRule } from './filter.ts'
import { NETLINK_ADD_MEMBERSHIP, openNetlink, type Protocol, SOL_NETLINK } from './open.ts'
import { splitMessages } from './reply.ts'
import type { Reply } from './wire.ts'

const logger = log.from('monitor.ts')

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
  /** The body is the reader's own copy. */
  | { readonly kind: 'message'; readonly type: number; readonly body: Uint8Array }
  /** Notifications were lost: look at everything again. */
  | { readonly kind: 'overrun' }

interface MonitorOptions {
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
/** Until a socket that can't be read, or opened, is opened again. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 30_000
/** What may wait unread in this process; beyond it an overrun says the same in less memory. */
const MOST_WAITING = 50_000

export class Monitor implements Disposable {
  readonly #groups: readonly number[]
  readonly #options: MonitorOptions
  readonly #receive = allocate(RECEIVE_BYTES)
  readonly #sender = allocate(16)
  #filter: readonly FilterRule[] | undefined
  /** Undefined while it waits to be opened again. */
  #ear: { readonly fd: number; readonly ready: Disposable } | undefined
  #waiting: MonitorEvent[] = []
  #wake: (() => void) | undefined
  #reading = false
  #open = true
  #pauseMs = FIRST_PAUSE_MS
  #timer: NodeJS.Timeout | undefined
  /** How many datagrams reached this process. */
  received = 0

  private constructor(groups: readonly number[], options: MonitorOptions) {
    this.#groups = groups
    this.#options = options
    this.#filter = options.filter
  }

  /** Listens from now on, though nobody reads yet: open it, then dump, and no change falls between. */
  static open(groups: readonly number[], options: MonitorOptions = {}): Monitor {
    using parts = new DisposableStack()
    const monitor = parts.use(new Monitor(groups, options))
    monitor.#listen()
    parts.move()
    return monitor
  }

  #listen(): void {
    const { protocol, namespace, receiveBufferBytes } = this.#options
    const fd = openNetlink(protocol ?? 'route', namespace, receiveBufferBytes ?? BUFFER_BYTES)
    try {
      if (this.#filter !== undefined) attachFilter(fd, this.#filter)
      for (const group of this.#groups) setsockoptInt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
      this.#ear = { fd, ready: register(fd, () => this.#drain()) }
    } catch (error) {
      close(fd)
      throw error
    }
  }

  /** Other links to care about. Notifications that came before are not looked at again. */
  setFilter(rules: readonly FilterRule[]): void {
    this.#filter = rules
    if (this.#ear !== undefined) attachFilter(this.#ear.fd, rules)
  }

  /** True once something waits to be taken; false when `signal` or disposal has ended it. One reader at a time. */
  async ready(signal: AbortSignal): Promise<boolean> {
    if (this.#reading) throw new Error('this monitor has a reader already')
    this.#reading = true
    try {
      while (this.#waiting.length === 0) {
        if (signal.aborted || !this.#open) return false
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
   * follows answers every hint so far. A reader that waits goes on waiting.
   */
  take(): readonly MonitorEvent[] {
    this.#drain(MOST_WAITING, false)
    const batch = this.#waiting
    this.#waiting = []
    return batch
  }

  #drain(most = MOST_AT_ONCE, wake = true): void {
    try {
      let left = most
      while (this.#ear !== undefined && left > 0 && this.#receiveOne(this.#ear.fd)) left--
      if (left === 0) setImmediate(() => this.#drain())
      else if (this.#ear !== undefined) this.#pauseMs = FIRST_PAUSE_MS
    } catch (error) {
      this.#recover(error)
    }
    if (wake && this.#waiting.length > 0) this.#wake?.()
  }

  /** Listens anew on another socket, a little later; all that comes in between is lost. */
  #recover(error: unknown): void {
    const pauseMs = this.#pauseMs
    logger.warning(`can't hear of changes (${String(error)}); listening anew in ${pauseMs} ms`, {
      key: 'deaf',
    })
    this.#hangUp()
    this.#pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
    this.#timer = setTimeout(() => {
      try {
        this.#listen()
      } catch (again) {
        this.#recover(again)
        return
      }
      this.#overrun()
      this.#wake?.()
    }, pauseMs)
  }

  /** False when nothing is left. */
  #receiveOne(fd: number): boolean {
    const from = { address: this.#sender.address, bytes: 12 }
    let length: number | undefined
    try {
      length = recvfrom(fd, this.#receive.address, RECEIVE_BYTES, MSG.dontWait | MSG.trunc, from)
    } catch (error) {
      if (!isSysError(error, 'ENOBUFS')) throw error
      // Thousands wait unread that the look at everything makes superfluous: they go with the socket.
      this.#hangUp()
      this.#listen()
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
    for (const { type, body } of messages) this.#waiting.push({ kind: 'message', type, body })
    if (this.#waiting.length > MOST_WAITING) this.#overrun()
  }

  /** Makes all that waits superfluous: the reader is going to look at everything. */
  #overrun(): void {
    this.#waiting = [{ kind: 'overrun' }]
  }

  #hangUp(): void {
    if (this.#ear === undefined) return
    const { fd, ready } = this.#ear
    this.#ear = undefined
    try {
      ready[Symbol.dispose]()
      close(fd)
    } catch (error) {
      // A socket that is gone can't be closed.
      if (!isSysError(error, 'EBADF')) throw error
    }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    clearTimeout(this.#timer)
    this.#hangUp()
    this.#receive[Symbol.dispose]()
    this.#sender[Symbol.dispose]()
    this.#wake?.()
  }
}
