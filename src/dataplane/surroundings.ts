// What this host's links are connected to inside the pod network, and its gateways there: followed by the kernel's
// notifications. As a rule there is nothing, and nothing wakes this but addresses that come and go.
import { setTimeout } from 'node:timers/promises'
import type { Family, Ip } from '../model/ip.ts'
import { ROUTE_PROTOCOL } from '../model/kernel.ts'
import {
  containsIp,
  containsPrefix,
  familyOfPrefix,
  overlaps,
  prefixOf,
  type Prefix,
} from '../model/prefix.ts'
import { NOWHERE, type ConnectedPrefix, type Surroundings } from '../model/surroundings.ts'
import { listAddresses, parseAddress, RTM_ADDRESS, SCOPE } from '../netlink/address.ts'
import { isRefused } from '../netlink/error.ts'
import { linksOf, noRoutes, routesOf, type FilterRule } from '../netlink/filter.ts'
import { getLink, parseLink, type LinkInfo } from '../netlink/link.ts'
import { GROUP, Monitor } from '../netlink/monitor.ts'
import { dumpRoutes } from '../netlink/route-info.ts'
import { TABLE } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'

/** Changes come in bursts: one look for all of them. */
const GATHER_MS = 100
/** In a storm a tenth of the time is spent on looking. */
const REST_PER_LOOK = 9

interface SurroundingsOptions {
  /** The pod network, of each family. */
  readonly networks: readonly Prefix[]
  /** This host's own pod subnets, at each look: what lies in them is no surroundings. */
  readonly own: () => readonly Prefix[]
  /** Names of flannel's own devices. */
  readonly links: ReadonlySet<string>
  /** This thread's unless given. */
  readonly namespace?: Namespace
}

/** Addresses of one link alone, such as each pod's veth has, are in nobody's way. */
const scoped: FilterRule = {
  types: [RTM_ADDRESS.put, RTM_ADDRESS.remove],
  offset: 3,
  bytes: 1,
  values: [SCOPE.universe, SCOPE.site],
}
const foreignRoutes: FilterRule = { ...routesOf([ROUTE_PROTOCOL]), drops: true }

export class SurroundingsWatch implements Disposable {
  readonly #options: SurroundingsOptions
  readonly #families: readonly Family[]
  readonly #socket: NetlinkSocket
  readonly #monitor: Monitor
  /** Links that have addresses in the network: whether they are up matters, and so do gateways. */
  #watched: readonly number[] = []
  #last = NOWHERE

  private constructor(options: SurroundingsOptions, socket: NetlinkSocket, monitor: Monitor) {
    this.#options = options
    this.#families = [...new Set(options.networks.map(familyOfPrefix))]
    this.#socket = socket
    this.#monitor = monitor
  }

  /** Throws NetlinkError or SysError where the kernel can't be spoken to. */
  static open(options: SurroundingsOptions): SurroundingsWatch {
    using parts = new DisposableStack()
    const { namespace } = options
    const socket = parts.use(NetlinkSocket.open('route', namespace))
    const { link, ipv4Address, ipv6Address, ipv4Route, ipv6Route } = GROUP
    const monitor = parts.use(
      Monitor.open([link, ipv4Address, ipv6Address, ipv4Route, ipv6Route], {
        filter: [scoped, linksOf([]), noRoutes],
        ...(namespace === undefined ? {} : { namespace }),
      }),
    )
    parts.move()
    return new SurroundingsWatch(options, socket, monitor)
  }

  /** As they are now. */
  look(): Surroundings {
    for (;;) {
      const { connected, indexes } = this.#connections()
      const gateways = indexes.length === 0 ? [] : this.#gateways()
      const wider = indexes.some((index) => !this.#watched.includes(index))
      if (wider || indexes.length !== this.#watched.length) {
        this.#watched = indexes
        this.#monitor.setFilter([scoped, linksOf(indexes), indexes.length === 0 ? noRoutes : foreignRoutes])
      }
      // What happened unheard while these links were not listened to.
      if (wider) continue
      this.#last = { connected, gateways }
      return this.#last
    }
  }

  /** Yields them whenever they are others than at the last look. */
  async *changes(signal: AbortSignal): AsyncGenerator<Surroundings, void, undefined> {
    let restMs = 0
    while (await this.#monitor.ready(signal)) {
      try {
        await setTimeout(Math.max(GATHER_MS, restMs), undefined, { signal })
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      this.#monitor.take()
      const before = JSON.stringify(this.#last)
      const startedMs = performance.now()
      const now = this.look()
      restMs = REST_PER_LOOK * (performance.now() - startedMs)
      if (JSON.stringify(now) !== before) yield now
    }
  }

  /** `indexes`: of all links with such prefixes, up or not. */
  #connections(): { connected: ConnectedPrefix[]; indexes: number[] } {
    const { networks, links } = this.#options
    const own = this.#options.own()
    const known = new Map<number, LinkInfo | undefined>()
    const connected: ConnectedPrefix[] = []
    for (const { linkIndex, ip, length, scope } of this.#socket.dump(listAddresses(), (reply) =>
      parseAddress(reply.body),
    )) {
      if (scope !== SCOPE.universe && scope !== SCOPE.site) continue
      const prefix = prefixOf(ip, length)
      if (!networks.some((network) => overlaps(network, prefix))) continue
      if (own.some((subnet) => containsPrefix(subnet, prefix))) continue
      if (!known.has(linkIndex)) known.set(linkIndex, this.#link(linkIndex))
      const link = known.get(linkIndex)
      // The kernel connects no prefix to a link that is down.
      if (link?.up === true && !links.has(link.name)) connected.push({ prefix, ip, link: link.name })
    }
    const indexes = [...known].filter(([, link]) => link !== undefined && !links.has(link.name))
    return { connected, indexes: indexes.map(([index]) => index) }
  }

  /** Undefined if it went since its address was read. */
  #link(index: number): LinkInfo | undefined {
    try {
      const [reply] = this.#socket.request(getLink(index))
      return reply && parseLink(reply.body)
    } catch (error) {
      if (isRefused(error, 'ENODEV')) return undefined
      throw error
    }
  }

  #gateways(): Ip[] {
    const gateways = this.#families.flatMap((family) =>
      dumpRoutes(this.#socket, { family, table: TABLE.main, type: 'unicast' }).flatMap(({ protocol, via }) =>
        protocol === ROUTE_PROTOCOL || via === undefined ? [] : via,
      ),
    )
    const inside = gateways.filter((ip) => this.#options.networks.some((network) => containsIp(network, ip)))
    return [...new Set(inside)].sort()
  }

  [Symbol.dispose](): void {
    this.#monitor[Symbol.dispose]()
    this.#socket[Symbol.dispose]()
  }
}
