// Carries unicast routes of the main table, through nexthop objects or plain. Never replaces a route: another's of
// the same prefix could be in front. It adds ours behind the old one of ours, then removes that.
import { type Route, ROUTE_PROTOCOL, route } from '../../model/kernel.ts'
import { baseOf, familyOfPrefix, type Prefix } from '../../model/prefix.ts'
import { isExists, type NetlinkError } from '../../netlink/error.ts'
import { parseRoute, type RouteInfo } from '../../netlink/route-info.ts'
import {
  addRoute,
  appendRoute,
  listRoutes,
  PROTOCOL,
  putRoute,
  removeRoute,
  ROUTE_VOLATILE,
  type RouteMessage,
  RTM_ROUTE,
  TABLE,
} from '../../netlink/route.ts'
import type { Message } from '../../netlink/wire.ts'
import { blocked, type Change, done, failed, type Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { nexthopKey } from '../kinds/nexthop.ts'
import { METRIC, routeKind } from '../kinds/route.ts'
import type { NexthopTable } from './nexthop-table.ts'
import type { GatewayPut } from './gateway-way.ts'
import { noLink, putResult, removeResult, RtnetlinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

/** Whoever's link they are on. */
const MARKED = [ROUTE_PROTOCOL, PROTOCOL.boot]
/** Offset of rtm_protocol in struct rtmsg (linux/rtnetlink.h). */
const RTM_PROTOCOL = 5

const NO_GATEWAY = 'no gateway'
const SEVERAL_WAYS = 'several ways'
const OTHER_METRICS = 'other metrics'

type Put = Extract<Change<Route>, { op: 'put' }>

export class RouteCarrier extends RtnetlinkCarrier<Route> {
  readonly #nexthops: NexthopTable

  constructor(session: Rtnetlink, nexthops: NexthopTable) {
    super(session, [RTM_ROUTE.put, RTM_ROUTE.remove])
    this.#nexthops = nexthops
  }

  /** What carries our protocol, what `ip` and upstream made, and all that is on our links: not a host's whole BGP table. */
  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly Route[]> {
    if (witness !== undefined) this.#nexthops.note(witness)
    const own = this.session.ownLinks(witness)
    const indices = new Set<number | undefined>()
    const found = this.session.families.flatMap((family) => {
      const read = (
        filter: { protocol?: number; linkIndex?: number },
        isAsked: (protocol: number | undefined) => boolean,
      ) =>
        this.session.dump(
          listRoutes({ family, table: TABLE.main, type: 'unicast', ...filter }),
          ({ body }) => {
            // Looked at before all is parsed: the second dump shows our own routes again.
            if (!isAsked(body[RTM_PROTOCOL])) return undefined
            const info = parseRoute(body)
            indices.add(info?.linkIndex)
            return info && this.#read(info)
          },
          witness,
          ROUTE_VOLATILE,
        )
      return [
        ...MARKED.flatMap((mark) => read({ protocol: mark }, (protocol) => protocol === mark)),
        ...own.flatMap(({ index }) =>
          read({ linkIndex: index }, (protocol) => !MARKED.some((mark) => mark === protocol)),
        ),
      ]
    })
    if (witness !== undefined) this.session.noteNames(indices, witness)
    return found
  }

  /** Undefined for what can't stand under a key of ours: other tables and types, several ways without our mark. */
  #read(info: RouteInfo): Route | undefined {
    if (info.table !== TABLE.main || info.type !== 'unicast' || info.cloned) return undefined
    if (info.multipath) return this.#severalWays(info)
    const mark = {
      ...(info.protocol === ROUTE_PROTOCOL ? {} : { protocol: info.protocol }),
      ...(info.metric === METRIC[info.family] ? {} : { metric: info.metric }),
      ...(info.mtuBytes === undefined ? {} : { mtuBytes: info.mtuBytes }),
    }
    const odd: { unrecognised?: string } = info.otherMetrics ? { unrecognised: OTHER_METRICS } : {}
    if (info.source !== undefined) odd.unrecognised = `source ${info.source}`
    if (info.nexthopId !== undefined) {
      const nexthop = this.#nexthops.at(info.nexthopId)
      if (nexthop !== undefined) {
        const { via, link, onLink } = nexthop
        return route({ to: info.to, via, link, onLink, through: 'nexthop', ...mark, ...odd })
      }
      odd.unrecognised = `nexthop ${info.nexthopId}`
    }
    const link = this.session.nameOf(info.linkIndex)
    if (link === undefined) return undefined
    if (info.via === undefined) {
      // A way to a gateway (gateway-way.ts) that was left behind, or somebody's doing: nothing that could be wanted.
      if (info.nexthopId !== undefined) return undefined
      if (info.protocol !== ROUTE_PROTOCOL && !this.session.scope.links.has(link)) return undefined
      odd.unrecognised = NO_GATEWAY
    }
    return route({
      to: info.to,
      via: info.via ?? baseOf(info.to),
      link,
      onLink: info.onLink,
      through: 'plain',
      ...mark,
      ...odd,
    })
  }

  /** With our mark it is ours, on no link in particular, and nothing that could be wanted. */
  #severalWays({ family, to, protocol, metric }: RouteInfo): Route | undefined {
    if (protocol !== ROUTE_PROTOCOL) return undefined
    return route({
      to,
      via: baseOf(to),
      link: '',
      onLink: false,
      through: 'plain',
      unrecognised: SEVERAL_WAYS,
      ...(metric === METRIC[family] ? {} : { metric }),
    })
  }

  async apply(changes: readonly Change<Route>[]): Promise<readonly Result[]> {
    const puts = changes.filter((change) => change.op === 'put')
    const outcomes = new Map<Change<Route>, Result>()
    const put = this.#put(puts)
    for (const [index, change] of puts.entries()) outcomes.set(change, put[index] ?? done)
    // What was there before goes only after its successor is in; the result is that of the removal.
    const removals = changes.filter(
      (change) => change.op === 'remove' || this.#isReplaced(change, outcomes.get(change)),
    )
    const removed = this.batch(
      removals,
      ({ have }): Message | Result => (have === undefined ? done : this.#remove(have)),
      (_change, error) => removeResult(error),
    )
    for (const [index, change] of removals.entries()) outcomes.set(change, removed[index] ?? done)
    return changes.map((change) => outcomes.get(change) ?? done)
  }

  #put(puts: readonly Put[]): Result[] {
    let taken: ReadonlyMap<Prefix, readonly RouteInfo[]> | undefined
    return this.batch(
      puts,
      ({ want, have }): GatewayPut | Result => {
        if (have !== undefined && this.#isOne(want, have)) return done
        const route = this.#message(want)
        if ('kind' in route) return route
        // One of another metric stands beside ours.
        if (have?.metric !== undefined || have === undefined) return { message: addRoute(route), ...route }
        if (familyOfPrefix(want.to) === 'ipv6') return { message: putRoute(route), ...route }
        return { message: appendRoute({ mtuBytes: 0, ...route }), ...route }
      },
      ({ want }, error) => {
        if (!isExists(error)) return putResult(error, want.link)
        taken ??= this.#all()
        return this.#inTheWay(want, taken.get(want.to) ?? [], error)
      },
    )
  }

  /** Whether it is one route to the kernel, its link called by another name. */
  #isOne(want: Route, have: Route): boolean {
    const { link } = want
    return (
      want.through === 'plain' &&
      routeKind.same(want, { ...have, link }) &&
      this.session.indexOf(link) === this.session.indexOf(have.link)
    )
  }

  /** IPv4 routes are added behind the old one, which is still to be removed. IPv6 replaces what has the same metric. */
  #isReplaced({ want, have }: Put, result: Result | undefined): boolean {
    if (have === undefined || result?.kind !== 'done') return false
    return have.metric !== undefined || (familyOfPrefix(want.to) === 'ipv4' && !this.#isOne(want, have))
  }

  /** The route as a request, or why it can't be tried. */
  #message(want: Route): RouteMessage | Result {
    const linkIndex = this.session.indexOf(want.link)
    if (linkIndex === undefined) return noLink(want.link)
    const common = {
      to: want.to,
      protocol: ROUTE_PROTOCOL,
      ...(want.mtuBytes === undefined ? {} : { mtuBytes: want.mtuBytes }),
    }
    if (want.through === 'plain') return { ...common, via: want.via, linkIndex, onLink: want.onLink }
    const nexthopId = this.#nexthops.idOf(want)
    return nexthopId === undefined
      ? blocked(nexthopKey(want), `there is no nexthop via ${want.via} on ${want.link}`)
      : { ...common, nexthopId }
  }

  #remove(have: Route): Message | Result {
    const mark = {
      to: have.to,
      protocol: have.protocol ?? ROUTE_PROTOCOL,
      ...(have.metric === undefined ? {} : { metric: have.metric }),
    }
    if (have.through === 'nexthop') {
      const nexthopId = this.#nexthops.idOf(have)
      return removeRoute({ ...mark, ...(nexthopId === undefined ? {} : { nexthopId }) })
    }
    // The kernel finds no route through a nexthop object, or through several, by its gateway.
    if (have.unrecognised?.startsWith('nexthop') === true || have.unrecognised === SEVERAL_WAYS)
      return removeRoute(mark)
    const linkIndex = this.session.indexOf(have.link)
    // With its link it went too.
    if (linkIndex === undefined) return done
    const via = have.unrecognised === NO_GATEWAY ? {} : { via: have.via }
    return removeRoute({ ...mark, ...via, linkIndex })
  }

  /** The kernel says that a route of this prefix is there already: ours after all, or somebody else's. */
  #inTheWay(want: Route, there: readonly RouteInfo[], error: NetlinkError): Result {
    if (there.some((info) => this.#isOurs(want, info))) return done
    const [other] = there
    if (other === undefined) return failed(error.message)
    const via = other.via === undefined ? '' : ` via ${other.via}`
    const dev = this.session.nameOf(other.linkIndex)
    return failed(
      `${want.to} is taken by a route that is not heddle's (${[other.type, via, dev === undefined ? '' : ` dev ${dev}`].join('')}, protocol ${other.protocol}); if it is a leftover, remove it: ip route del ${want.to}`,
    )
  }

  #isOurs(want: Route, info: RouteInfo): boolean {
    const found = this.#read(info)
    return found !== undefined && routeKind.same(want, found)
  }

  #all(): ReadonlyMap<Prefix, readonly RouteInfo[]> {
    const infos = this.session.families.flatMap((family) =>
      this.session.socket.dump(listRoutes({ family, table: TABLE.main }), ({ body }) => parseRoute(body)),
    )
    return Map.groupBy(
      infos.filter((info) => info.table === TABLE.main && info.metric === METRIC[info.family]),
      (info) => info.to,
    )
  }

  hear(type: number, body: Uint8Array): void {
    const info = parseRoute(body)
    if (info === undefined || info.table !== TABLE.main || info.cloned) return
    const object = this.#read(info)
    const put = type === RTM_ROUTE.put
    if (object !== undefined) this.see(routeKind.key(object), put, object)
    // It may stand where ours did.
    else if (put && info.metric === METRIC[info.family])
      this.queue.push({ kind: 'seen', key: info.to, have: undefined })
  }
}
