// What the kernel's routing says about the way to other hosts: whether an address is on link. Answers are kept, and
// asked again when routes, links or addresses change.
import { setTimeout as delay } from 'node:timers/promises'
import type { Ip } from '../model/ip.ts'
import { ROUTE_PROTOCOL } from '../model/kernel.ts'
import { isRefused } from '../netlink/error.ts'
import { routesIn, type FilterRule } from '../netlink/filter.ts'
import { listLinks, parseLink } from '../netlink/link.ts'
import { GROUP, Monitor } from '../netlink/monitor.ts'
import { getRoute, parseRoute, RTM_ROUTE, TABLE } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'

/** Changes come in bursts (an interface that restarts): they are looked at together. */
const GATHER_MS = 100
/** Our own routes never lead to another host's underlay address. */
const NOT_OURS: FilterRule = {
  types: [RTM_ROUTE.put, RTM_ROUTE.remove],
  offset: 5,
  bytes: 1,
  values: [ROUTE_PROTOCOL],
  drops: true,
}

export class UnderlayWatch implements Disposable {
  readonly #netlink: NetlinkSocket
  readonly #monitor: Monitor
  /** By address: the link it is reached on without a gateway, or undefined. */
  readonly #answers = new Map<Ip, string | undefined>()
  #names: ReadonlyMap<number, string> | undefined

  private constructor(netlink: NetlinkSocket, monitor: Monitor) {
    this.#netlink = netlink
    this.#monitor = monitor
  }

  /** Of `namespace`, or this thread's. */
  static open(namespace?: Namespace): UnderlayWatch {
    using opened = new DisposableStack()
    const groups = [GROUP.link, GROUP.ipv4Address, GROUP.ipv4Route, GROUP.ipv6Address, GROUP.ipv6Route]
    const filter = [routesIn([TABLE.main]), NOT_OURS]
    const monitor = opened.use(
      Monitor.open(groups, { filter, ...(namespace === undefined ? {} : { namespace }) }),
    )
    const watch = new UnderlayWatch(opened.use(NetlinkSocket.open('route', namespace)), monitor)
    opened.move()
    return watch
  }

  /** Whether `ip` is reached without a gateway, through `link`. */
  isOnLink(ip: Ip, link: string): boolean {
    if (!this.#answers.has(ip)) this.#answers.set(ip, this.#ask(ip))
    return this.#answers.get(ip) === link
  }

  /** Yields whenever an answer that was given has become another. */
  async *changes(signal: AbortSignal): AsyncGenerator<void, void, undefined> {
    while ((await this.#monitor.batch(signal)) !== undefined) {
      await delay(GATHER_MS, undefined, { signal })
      this.#monitor.take()
      if (this.#answers.size > 0 && this.#askAgain()) yield
    }
  }

  #askAgain(): boolean {
    this.#names = undefined
    let changed = false
    for (const [ip, before] of this.#answers) {
      const now = this.#ask(ip)
      this.#answers.set(ip, now)
      changed ||= now !== before
    }
    return changed
  }

  #ask(ip: Ip): string | undefined {
    try {
      const [reply] = this.#netlink.request(getRoute(ip))
      const route = reply && parseRoute(reply.body)
      return route === undefined || route.via !== undefined || route.type !== 'unicast'
        ? undefined
        : this.#nameOf(route.linkIndex)
    } catch (error) {
      if (isRefused(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'EACCES')) return undefined
      throw error
    }
  }

  #nameOf(index: number | undefined): string | undefined {
    this.#names ??= new Map(
      this.#netlink.dump(listLinks(), ({ body }) => parseLink(body)).map((link) => [link.index, link.name]),
    )
    return index === undefined ? undefined : this.#names.get(index)
  }

  [Symbol.dispose](): void {
    this.#monitor[Symbol.dispose]()
    this.#netlink[Symbol.dispose]()
  }
}
