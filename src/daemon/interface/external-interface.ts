// The interface between hosts, followed: chosen once it can be, then kept through changes of its address, index, name
// and MTU. The kernel's notifications say when to look; nothing is polled.
import { setTimeout as delay } from 'node:timers/promises'
import type { Family, Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { addressesOf, linksOf, noRoutes, routesOf } from '../../netlink/filter.ts'
import { GROUP, Monitor } from '../../netlink/monitor.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { chooseInterface, type Chosen, type InterfaceWish, type Stack } from './choose.ts'
import { keepInterface } from './keep.ts'
import { viewHost } from './read-host.ts'

/** An address goes and another comes, a link goes down with its routes: one look for all of them. */
const GATHER_MS = 100
/** How long an interface that lost its address, or went, is waited for before another one is taken. */
const GRACE_MS = 5_000

interface ExternalInterfaceOptions {
  readonly wish: InterfaceWish
  readonly stack: Stack
  /** This thread's unless given. */
  readonly namespace?: Namespace
  readonly graceMs?: number
}

export const FAMILIES: Readonly<Record<Stack, readonly Family[]>> = {
  ipv4: ['ipv4'],
  ipv6: ['ipv6'],
  dual: ['ipv4', 'ipv6'],
}
const groups = (family: Family): number[] =>
  family === 'ipv4' ? [GROUP.ipv4Address, GROUP.ipv4Route] : [GROUP.ipv6Address, GROUP.ipv6Route]

export class ExternalInterface implements Disposable {
  readonly #options: ExternalInterfaceOptions
  readonly #netlink: NetlinkSocket
  readonly #monitor: Monitor
  #chosen: Chosen | undefined
  #addresses: ReadonlySet<Ip> = new Set()
  /** The index that the monitor is narrowed to. */
  #watched: number | undefined
  /** Since when ours is without its address, or away. */
  #lostAtMs: number | undefined
  /** When another one, which is there already, may be taken. */
  #heldUntilMs: number | undefined

  private constructor(options: ExternalInterfaceOptions, netlink: NetlinkSocket, monitor: Monitor) {
    this.#options = options
    this.#netlink = netlink
    this.#monitor = monitor
  }

  /** Throws NetlinkError or SysError where the kernel can't be spoken to. */
  static open(options: ExternalInterfaceOptions): ExternalInterface {
    using parts = new DisposableStack()
    const { namespace, stack } = options
    const netlink = parts.use(NetlinkSocket.open('route', namespace))
    const monitor = parts.use(
      Monitor.open([GROUP.link, ...FAMILIES[stack].flatMap(groups)], {
        filter: [{ ...routesOf([ROUTE_PROTOCOL]), drops: true }],
        ...(namespace === undefined ? {} : { namespace }),
      }),
    )
    parts.move()
    return new ExternalInterface(options, netlink, monitor)
  }

  /** The interface as it is now; a sentence while there is none. What was chosen before stays chosen if it can. */
  look(): Chosen | string {
    for (;;) {
      const found = this.#find()
      const index = typeof found === 'string' ? undefined : found.index
      const isWider = index === undefined && this.#watched !== undefined
      this.#watch(index)
      // What happened unheard while only one interface was listened to.
      if (isWider) continue
      if (typeof found !== 'string') this.#chosen = found
      return found
    }
  }

  /** All that this host had at the last look. */
  get addresses(): ReadonlySet<Ip> {
    return this.#addresses
  }

  /** True once there may be something else to see; false when the signal has ended it. */
  async stirred(signal: AbortSignal): Promise<boolean> {
    using grace = new Alarm(this.#heldUntilMs)
    if (!(await this.#monitor.ready(AbortSignal.any([signal, grace.signal])))) return !signal.aborted
    try {
      await delay(GATHER_MS, undefined, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
    this.#monitor.take()
    return !signal.aborted
  }

  #find(): Chosen | string {
    const { wish, stack, graceMs } = this.#options
    const view = viewHost(this.#netlink)
    this.#addresses = new Set(view.interfaces.flatMap((i) => i.addresses.map(({ ip }) => ip)))
    const before = this.#chosen
    if (before === undefined) return chooseInterface(view, wish, stack)
    const found = keepInterface(view, wish, stack, before)
    this.#heldUntilMs = undefined
    if (typeof found !== 'string' && (found.index === before.index || found.link === before.link)) {
      this.#lostAtMs = undefined
      return found
    }
    const now = performance.now()
    this.#lostAtMs ??= now
    if (typeof found === 'string') return found
    const held = this.#lostAtMs + (graceMs ?? GRACE_MS)
    if (now >= held) {
      this.#lostAtMs = undefined
      return found
    }
    this.#heldUntilMs = held
    return `${before.link} has lost ${[before.ipv4, before.ipv6].filter((ip) => ip !== undefined).join(' and ')}; it is waited for a little before ${found.link} is taken`
  }

  /** All notifications, or only those of one link: pods that come and go wake nobody. */
  #watch(index: number | undefined): void {
    if (index === this.#watched) return
    this.#watched = index
    this.#monitor.setFilter(
      index === undefined
        ? [{ ...routesOf([ROUTE_PROTOCOL]), drops: true }]
        : [linksOf([index]), addressesOf([index]), noRoutes],
    )
  }

  [Symbol.dispose](): void {
    this.#monitor[Symbol.dispose]()
    this.#netlink[Symbol.dispose]()
  }
}

/** A signal that comes at a time of performance.now(), if one is given. */
class Alarm implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout | undefined

  constructor(atMs: number | undefined) {
    if (atMs !== undefined)
      this.#timer = setTimeout(() => this.#controller.abort(), Math.max(1, atMs - performance.now()))
  }
  get signal(): AbortSignal {
    return this.#controller.signal
  }
  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
