// One session with the kernel's rtnetlink that the carriers of links, addresses, routes, neighbours, FDB entries and
// nexthops share: a socket for requests, a monitor, and the table of links by name and index.
import { RTM_ADDRESS } from '../../netlink/address.ts'
import { addressesOf, exceptOwn, type FilterRule, neighboursOf, routesOf } from '../../netlink/filter.ts'
import { Imprint, type Volatile } from '../../netlink/imprint.ts'
import { type LinkInfo, listLinks, parseLink } from '../../netlink/link.ts'
import { GROUP, Monitor, type MonitorEvent } from '../../netlink/monitor.ts'
import { RTM_NEIGHBOUR } from '../../netlink/neighbour.ts'
import { RTM_NEXTHOP } from '../../netlink/nexthop.ts'
import { PROTOCOL, RTM_ROUTE } from '../../netlink/route.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import type { Message, Reply } from '../../netlink/wire.ts'
import { Ethtool } from '../../sys/ethtool.ts'
import { log } from '../../sys/log.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import type { Family } from '../../model/ip.ts'
import { familyOfPrefix } from '../../model/prefix.ts'
import type { Ownership } from '../kind.ts'
import type { Witness } from '../witness.ts'
import { LinkTable } from './link-table.ts'
import { hasNexthops } from './nexthop-table.ts'

const logger = log.from('rtnetlink.ts')

/** A carrier's ear: what of the session's notifications concerns it. Bodies are copies it may keep. */
export interface Ear {
  readonly types: readonly number[]
  hear(type: number, body: Uint8Array): void
  /** Notifications were lost. */
  overrun(): void
}

/** What our own requests change of these we know from their acknowledgements. Links change in more ways than asked. */
const OWN_KNOWN = [RTM_ADDRESS, RTM_NEIGHBOUR, RTM_ROUTE, RTM_NEXTHOP].flatMap(({ put, remove }) => [
  put,
  remove,
])

/** Told of links whose state, MAC, index or name changed, or whose addresses did. */
type LinkListener = (link: string) => void

export class Rtnetlink implements Disposable {
  readonly scope: Ownership
  readonly namespace: Namespace | undefined
  readonly socket: NetlinkSocket
  readonly links = new LinkTable()
  readonly ethtool: Ethtool
  /** Whether this kernel has nexthop objects (Linux ≥ 5.3). */
  readonly nexthopObjects: boolean
  /** The families of our networks. */
  readonly families: readonly Family[]
  readonly #monitor: Monitor
  readonly #ears = new Map<number, Ear[]>()
  readonly #all: Ear[] = []
  readonly #stop = new AbortController()
  /** Names of links that our objects live on, ours or not. */
  readonly #used: Set<string>
  #linkListener: LinkListener | undefined
  #filter = ''

  private constructor(scope: Ownership, socket: NetlinkSocket, namespace: Namespace | undefined) {
    this.scope = scope
    this.namespace = namespace
    this.socket = socket
    this.ethtool = new Ethtool(namespace)
    this.#used = new Set(scope.links)
    this.families = [...new Set(scope.networks.map(familyOfPrefix))]
    this.nexthopObjects = hasNexthops(socket)
    this.#monitor = Monitor.open(
      groups(this.families, this.nexthopObjects),
      namespace === undefined ? {} : { namespace },
    )
  }

  static open(scope: Ownership, namespace?: Namespace): Rtnetlink {
    using parts = new DisposableStack()
    const socket = parts.use(NetlinkSocket.open('route', namespace))
    const session = parts.use(new Rtnetlink(scope, socket, namespace))
    session.loadLinks()
    void session.#pump()
    parts.move()
    return session
  }

  listen(ear: Ear): void {
    this.#all.push(ear)
    for (const type of ear.types) this.#ears.set(type, [...(this.#ears.get(type) ?? []), ear])
  }
  /** Of links that our objects live on. */
  onLink(listener: LinkListener): void {
    this.#linkListener = listener
  }

  /** From now on changes of this link concern us, whether or not there is one. Ours keep their names, others are followed. */
  attend(name: string): void {
    if (this.#used.has(name)) return
    this.#used.add(name)
    this.links.follow(name)
    this.#refilter()
  }
  /** Whether objects of ours live on this link, or are to. */
  uses(name: string): boolean {
    return this.#used.has(name)
  }
  /** Index of a link, or undefined where there is none. From now on its changes concern us. */
  indexOf(name: string): number | undefined {
    this.attend(name)
    return this.scope.links.has(name) ? this.#own(name)?.index : this.links.indexOf(name)
  }
  /** A device of another type that has a name of ours is a stranger's. */
  #own(name: string): LinkInfo | undefined {
    const link = this.links.get(name)
    return link?.type === 'vxlan' ? link : undefined
  }
  nameOf(index: number | undefined): string | undefined {
    return this.links.nameOf(index)
  }
  /** The name of a link with this index if it is ours. */
  ownName(index: number): string | undefined {
    const name = this.nameOf(index)
    return name !== undefined && this.scope.links.has(name) && this.#own(name) !== undefined
      ? name
      : undefined
  }
  /** Names and indices of the links that are ours and exist; whether they still do can be asked of `witness`. */
  ownLinks(witness?: Witness): LinkInfo[] {
    const own = [...this.scope.links].map((name) => this.#own(name)).filter((l) => l !== undefined)
    witness?.add(() => {
      const now = this.ownLinks()
      return (
        now.length === own.length &&
        own.every(({ index, name }, i) => now[i]?.index === index && now[i].name === name)
      )
    })
    return own
  }
  /** Whether links of these indices have still the names they have now can be asked of `witness`. */
  noteNames(indices: Iterable<number | undefined>, witness: Witness): void {
    const names = new Map([...indices].map((index) => [index, this.nameOf(index)]))
    witness.add(() => [...names].every(([index, name]) => this.nameOf(index) === name))
  }

  /** A dump, parsed in place; whether another would show the same but for what is `volatile` can be asked of `witness`. */
  dump<T>(
    message: Message,
    parse: (reply: Reply) => T | undefined,
    witness?: Witness,
    volatile?: Volatile,
  ): T[] {
    if (witness === undefined) return this.socket.dump(message, parse)
    const imprint = new Imprint(message, volatile)
    const found = this.socket.dump(message, parse, imprint)
    witness.add(() => this.socket.repeats(imprint))
    return found
  }

  /** Reads all links anew. */
  loadLinks(): void {
    const links = this.socket.dump(listLinks(), (reply) => parseLink(reply.body))
    for (const name of this.links.load(links)) this.linkChanged(name)
    this.#refilter()
  }

  /** A link as just read, or undefined if there is none of that index now. */
  noteLink(index: number, link: LinkInfo | undefined): void {
    const names = link === undefined ? [this.links.remove(index)] : this.links.put(link)
    this.#refilter()
    for (const name of names) if (name !== undefined) this.linkChanged(name)
  }

  linkChanged(name: string): void {
    if (this.#used.has(name)) this.#linkListener?.(name)
  }

  /** Hands what has come in until now to the carriers' ears, without waiting. */
  hear(): void {
    for (const event of this.#monitor.take()) this.#dispatch(event)
  }

  async #pump(): Promise<void> {
    while (await this.#monitor.ready(this.#stop.signal)) this.hear()
  }

  #dispatch(event: MonitorEvent): void {
    if (event.kind === 'overrun') {
      for (const ear of this.#all) ear.overrun()
      return
    }
    for (const ear of this.#ears.get(event.type) ?? [])
      try {
        ear.hear(event.type, event.body)
      } catch (error) {
        // A notification that can't be read is one that was lost.
        logger.warning(`a notification can't be read (${String(error)}): looking at everything`, {
          key: `unreadable ${event.type}`,
        })
        ear.overrun()
      }
  }

  /** Tells the kernel which links' notifications to let through. */
  #refilter(): void {
    const indexes = (names: Iterable<string>) =>
      [...names].map((name) => this.links.indexOf(name)).filter((index) => index !== undefined)
    const own = indexes(this.scope.links)
    const used = indexes(this.#used)
    const next = `${own.join()} ${used.join()}`
    if (next === this.#filter) return
    this.#filter = next
    const rules: FilterRule[] = [
      exceptOwn(OWN_KNOWN, this.socket.port),
      neighboursOf(own),
      addressesOf(used),
      routesOf([ROUTE_PROTOCOL, PROTOCOL.boot], own),
    ]
    this.#monitor.setFilter(rules)
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
    this.#monitor[Symbol.dispose]()
    this.socket[Symbol.dispose]()
    this.ethtool[Symbol.dispose]()
  }
}

const groups = (families: readonly Family[], nexthopObjects: boolean): number[] => [
  GROUP.link,
  GROUP.neighbour,
  ...families.flatMap((family) =>
    family === 'ipv4' ? [GROUP.ipv4Address, GROUP.ipv4Route] : [GROUP.ipv6Address, GROUP.ipv6Route],
  ),
  ...(nexthopObjects ? [GROUP.nexthop] : []),
]
