// What the kernel says of one packet's way: asked for as it is needed, nothing is changed.
import { familyOf, type Family, type Ip } from '../../model/ip.ts'
import type { Mac } from '../../model/mac.ts'
import { containsIp, lengthOf } from '../../model/prefix.ts'
import { listAddresses, parseAddress } from '../../netlink/address.ts'
import { NetlinkError } from '../../netlink/error.ts'
import { listLinks, parseLink, type LinkInfo } from '../../netlink/link.ts'
import { listFdb, listNeighbours, NTF, NUD, parseNeighbour } from '../../netlink/neighbour.ts'
import { listNexthops, parseNexthop, type NexthopInfo } from '../../netlink/nexthop.ts'
import { dumpRoutes, parseRoute, type RouteInfo } from '../../netlink/route-info.ts'
import { getRoute, TABLE } from '../../netlink/route.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'

export interface Entry {
  readonly mac: Mac | undefined
  readonly state: number
}
export interface Forward {
  readonly linkIndex: number
  readonly dst: Ip | undefined
}
/** Where a packet comes from: this host, from an address or none in particular, or in by a link. */
export interface Origin {
  readonly from?: Ip
  readonly inputIndex?: number
  /** By which link it must leave. */
  readonly linkIndex?: number
}
/** The errno's name: ENETUNREACH where there is no route. */
export interface Refused {
  readonly refused: string
}

export class KernelView implements Disposable {
  readonly #socket: NetlinkSocket
  readonly links: readonly LinkInfo[]
  readonly addresses: readonly { readonly linkIndex: number; readonly ip: Ip; readonly length: number }[]

  /** Throws NetlinkError or SysError where the kernel can't be spoken to. */
  constructor() {
    this.#socket = NetlinkSocket.open('route')
    this.links = this.#socket.dump(listLinks(), ({ body }) => parseLink(body))
    this.addresses = this.#socket.dump(listAddresses(), ({ body }) => parseAddress(body))
  }

  link(index: number | undefined): LinkInfo | undefined {
    return this.links.find((link) => link.index === index)
  }
  isOwn(ip: Ip): boolean {
    return this.addresses.some((address) => address.ip === ip)
  }

  /** What comes of the kernel's lookup. */
  route(to: Ip, origin: Origin = {}): RouteInfo | Refused {
    return this.#ask(to, origin)
  }
  /** The entry that decides. */
  entry(to: Ip, origin: Origin = {}): RouteInfo | Refused {
    return this.#ask(to, { ...origin, fibMatch: true })
  }
  #ask(to: Ip, question: Origin & { readonly fibMatch?: boolean }): RouteInfo | Refused {
    try {
      const [reply] = this.#socket.request(getRoute(to, question))
      return (reply && parseRoute(reply.body)) ?? { refused: 'ENETUNREACH' }
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'refused') return { refused: error.errnoName }
      throw error
    }
  }

  /** Entries of the main table that cover the address, the longest first, and of equal ones the least metric. */
  covering(to: Ip): RouteInfo[] {
    return dumpRoutes(this.#socket, { family: familyOf(to), table: TABLE.main })
      .filter((route) => containsIp(route.to, to))
      .sort((a, b) => lengthOf(b.to) - lengthOf(a.to) || a.metric - b.metric)
  }

  nexthops(): NexthopInfo[] {
    try {
      return this.#socket.dump(listNexthops(), ({ body }) => parseNexthop(body))
    } catch (error) {
      // A kernel before 5.3 has none.
      if (error instanceof NetlinkError && error.code === 'refused') return []
      throw error
    }
  }

  /** All entries of a link, by address. */
  neighbours(linkIndex: number, family: Family): ReadonlyMap<Ip, Entry> {
    const found = this.#socket.dump(listNeighbours({ family, linkIndex }), ({ body }) => {
      const info = parseNeighbour(body)
      return info?.kind === 'neighbour' && info.linkIndex === linkIndex ? info : undefined
    })
    return new Map(found.map((entry) => [entry.ip, entry]))
  }
  neighbour(linkIndex: number, ip: Ip): Entry | undefined {
    return this.neighbours(linkIndex, familyOf(ip)).get(ip)
  }

  /** The entry of a VXLAN device's own FDB. */
  tunnel(linkIndex: number, mac: Mac): Forward | undefined {
    return this.#fdb((info) => info.linkIndex === linkIndex && info.mac === mac && info.dst !== undefined)
  }
  /** The port of a bridge behind which a MAC is. */
  port(bridgeIndex: number, mac: Mac): Forward | undefined {
    return this.#fdb(
      (info) => info.master === bridgeIndex && info.mac === mac && (info.flags & NTF.self) === 0,
    )
  }
  #fdb(matches: (info: Extract<ReturnType<typeof parseNeighbour>, { kind: 'fdb' }>) => boolean) {
    const [first] = this.#socket.dump(listFdb(), ({ body }): Forward | undefined => {
      const info = parseNeighbour(body)
      return info?.kind === 'fdb' && matches(info) ? { linkIndex: info.linkIndex, dst: info.dst } : undefined
    })
    return first
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}

export const isRefused = (answer: RouteInfo | Refused): answer is Refused => 'refused' in answer

/** NUD_* in words, as `ip neigh` has them. */
export const stateText = (state: number): string =>
  Object.entries(NUD)
    .find(([, bit]) => (state & bit) !== 0)?.[0]
    ?.toUpperCase() ?? 'NONE'
