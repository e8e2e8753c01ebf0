// Routes of both families: struct rtmsg and RTA_* (linux/rtnetlink.h).
import { bitsOf, familyOf, type Family, type Ip, ipFromBytes } from '../model/ip.ts'
import { baseOf, familyOfPrefix, lengthOf, type Prefix } from '../model/prefix.ts'
import { SCOPE } from './address.ts'
import { Attributes, u32 } from './attributes.ts'
import { isRefused, malformed } from './error.ts'
import { AF, familyOfNumber } from './family.ts'
import { RTNH_F } from './nexthop.ts'
import type { NetlinkSocket } from './socket.ts'
import { type Message, NLM_F, type Reply, Writer } from './wire.ts'

export const RTM_ROUTE = { put: 24, remove: 25, get: 26 } as const
const HEADER = 12
const RTA = {
  dst: 1,
  oif: 4,
  gateway: 5,
  priority: 6,
  prefSource: 7,
  multipath: 9,
  table: 15,
  via: 18,
  nexthopId: 30,
} as const
/** RT_TABLE_*. */
export const TABLE = { main: 254, local: 255 } as const
/** RTPROT_*: who made a route. */
export const PROTOCOL = { redirect: 1, kernel: 2, boot: 3, static: 4, ra: 9, dhcp: 16 } as const
const TYPES = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const
type RouteType = keyof typeof TYPES
const NAMES = new Map(Object.entries(TYPES).map(([name, number]) => [number as number, name as RouteType]))
const RTM_F_CLONED = 0x200

export interface RouteMessage {
  readonly to: Prefix
  /** unicast unless told otherwise. */
  readonly type?: RouteType
  readonly via?: Ip
  readonly linkIndex?: number
  /** Carried by a nexthop object instead of `via` and `linkIndex`. */
  readonly nexthopId?: number
  /** The gateway need not be on a connected prefix. Not with `nexthopId`, which says so itself. */
  readonly onLink?: boolean
  /** The kernel makes 0 into 1024 for IPv6. */
  readonly metric?: number
  /** RTPROT_*. */
  readonly protocol: number
  /** main unless told otherwise. */
  readonly table?: number
  /** Preferred source address. */
  readonly source?: Ip
}

/** Creates the route, or replaces the first one of the same prefix, metric and table, whosever it is. */
export const putRoute = (r: RouteMessage): Message =>
  write(RTM_ROUTE.put, NLM_F.create | NLM_F.replace, 'put', r)

/** EEXIST if one of the same prefix, metric and table is there. */
export const addRoute = (r: RouteMessage): Message =>
  write(RTM_ROUTE.put, NLM_F.create | NLM_F.exclusive, 'add', r)

/**
 * Adds the route behind those of the same prefix, metric and table, which stay in force; EEXIST if an equal one is
 * there. IPv4 only: IPv6 would make them one route of two ways.
 */
export const appendRoute = (r: RouteMessage): Message =>
  write(RTM_ROUTE.put, NLM_F.create | NLM_F.append, 'append', r)

/** Removes the route that agrees in all that is given; ESRCH if there is none. */
export const removeRoute = (r: Omit<RouteMessage, 'protocol'> & { readonly protocol?: number }): Message =>
  write(RTM_ROUTE.remove, 0, 'remove', { protocol: 0, ...r })

function write(type: number, flags: number, verb: string, r: RouteMessage): Message {
  const family = familyOfPrefix(r.to)
  const table = r.table ?? TABLE.main
  return Writer.message(type, flags, `${verb} route ${r.to}`, (w) => {
    w.u8(AF[family])
      .u8(lengthOf(r.to))
      .u16(0)
      .u8(table < 256 ? table : 0)
      .u8(r.protocol)
      .u8(type === RTM_ROUTE.remove ? SCOPE.nowhere : scopeOf(r, family))
      .u8(r.type === undefined && type === RTM_ROUTE.remove ? 0 : TYPES[r.type ?? 'unicast'])
      .u32(r.onLink === true ? RTNH_F.onLink : 0)
    if (lengthOf(r.to) > 0) w.attrIp(RTA.dst, baseOf(r.to))
    if (r.via !== undefined) gateway(w, r.via, family)
    if (r.source !== undefined) w.attrIp(RTA.prefSource, r.source)
    if (r.linkIndex !== undefined) w.attrU32(RTA.oif, r.linkIndex)
    if (r.nexthopId !== undefined) w.attrU32(RTA.nexthopId, r.nexthopId)
    if (r.metric !== undefined) w.attrU32(RTA.priority, r.metric)
    if (table > 255) w.attrU32(RTA.table, table)
  })
}

/** IPv4 routes without a gateway reach as far as their link. */
const scopeOf = (r: RouteMessage, family: Family): number =>
  family === 'ipv4' && (r.type ?? 'unicast') === 'unicast' && r.via === undefined && r.nexthopId === undefined
    ? SCOPE.link
    : SCOPE.universe

function gateway(w: Writer, via: Ip, family: Family): void {
  if (familyOf(via) === family) w.attrIp(RTA.gateway, via)
  else
    w.attribute(RTA.via, () => {
      w.u16(AF[familyOf(via)])
      w.ip(via)
    })
}

interface RouteFilter {
  readonly family: Family
  readonly table?: number
  readonly protocol?: number
  readonly linkIndex?: number
  readonly type?: RouteType
}

/** Routes that agree with the filter, which the kernel applies. Prefer `dumpRoutes`, which knows an absent table as empty. */
export const listRoutes = (filter: RouteFilter): Message =>
  Writer.message(RTM_ROUTE.get, 0, `list ${filter.family} routes`, (w) => {
    const table = filter.table ?? 0
    w.u32(AF[filter.family])
      .u8(table < 256 ? table : 0)
      .u8(filter.protocol ?? 0)
      .u8(0)
      .u8(filter.type === undefined ? 0 : TYPES[filter.type])
      .u32(0)
    if (table > 255) w.attrU32(RTA.table, table)
    if (filter.linkIndex !== undefined) w.attrU32(RTA.oif, filter.linkIndex)
  })

/** The routes there are. A table that nobody has used yet doesn't exist: that is no routes, not an error. */
export function dumpRoutes(socket: NetlinkSocket, filter: RouteFilter): RouteInfo[] {
  try {
    return socket.dump(listRoutes(filter), (reply: Reply) => {
      const route = parseRoute(reply.body)
      return route !== undefined && matches(route, filter) ? route : undefined
    })
  } catch (error) {
    if (filter.table !== undefined && isRefused(error, 'ENOENT')) return []
    throw error
  }
}

/** Kernels before 5.0 ignore filters. */
const matches = (route: RouteInfo, f: RouteFilter): boolean =>
  !route.cloned &&
  (f.table === undefined || route.table === f.table) &&
  (f.protocol === undefined || route.protocol === f.protocol) &&
  (f.linkIndex === undefined || route.linkIndex === f.linkIndex) &&
  (f.type === undefined || route.type === f.type)

/** Asks which route a packet to `ip` takes: `socket.request` returns one reply; ENETUNREACH if none. */
export const getRoute = (
  ip: Ip,
  options: { readonly from?: Ip; readonly linkIndex?: number } = {},
): Message =>
  Writer.message(RTM_ROUTE.get, 0, `get route to ${ip}`, (w) => {
    w.u8(AF[familyOf(ip)])
      .u8(bitsOf(familyOf(ip)))
      .u8(options.from === undefined ? 0 : bitsOf(familyOf(ip)))
      .zero(9)
    w.attrIp(RTA.dst, ip)
    if (options.from !== undefined) w.attrIp(2, options.from)
    if (options.linkIndex !== undefined) w.attrU32(RTA.oif, options.linkIndex)
  })

/** As the kernel reports it. Routes through several nexthops (`multipath`) have no single gateway or link. */
export interface RouteInfo {
  readonly family: Family
  readonly to: Prefix
  readonly type: RouteType | undefined
  readonly via: Ip | undefined
  readonly linkIndex: number | undefined
  readonly nexthopId: number | undefined
  readonly onLink: boolean
  readonly metric: number
  readonly protocol: number
  readonly table: number
  readonly scope: number
  readonly source: Ip | undefined
  readonly multipath: boolean
  /** A cached exception of another route's (path MTU, redirect). */
  readonly cloned: boolean
  /** RTNH_F_*: `dead`, `linkDown`. */
  readonly flags: number
}

/** The route in the body of an RTM_NEWROUTE or RTM_DELROUTE; undefined for families we don't know (MPLS). */
export function parseRoute(body: Uint8Array): RouteInfo | undefined {
  const a = new Attributes(body, HEADER, 'a route')
  const family = familyOfNumber(body[0])
  if (family === undefined) return undefined
  let dst: Uint8Array | undefined
  let via: Ip | undefined
  let linkIndex: number | undefined
  let nexthopId: number | undefined
  let source: Ip | undefined
  let metric = 0
  let table = body[4] ?? 0
  let multipath = false
  while (a.next())
    if (a.type === RTA.dst) dst = a.bytes()
    else if (a.type === RTA.gateway) via = a.ip()
    else if (a.type === RTA.oif) linkIndex = a.u32()
    else if (a.type === RTA.priority) metric = a.u32()
    else if (a.type === RTA.table) table = a.u32()
    else if (a.type === RTA.nexthopId) nexthopId = a.u32()
    else if (a.type === RTA.prefSource) source = a.ip()
    else if (a.type === RTA.multipath) multipath = true
    else if (a.type === RTA.via) via = otherGateway(a.bytes())
  const length = body[1] ?? 0
  const flags = u32(body, 8)
  return {
    family,
    to: destination(dst ?? ANY[family], length, family),
    type: NAMES.get(body[7] ?? 0),
    via,
    linkIndex,
    nexthopId,
    onLink: (flags & RTNH_F.onLink) !== 0,
    metric,
    protocol: body[5] ?? 0,
    table,
    scope: body[6] ?? 0,
    source,
    multipath,
    cloned: (flags & RTM_F_CLONED) !== 0,
    flags,
  }
}

const ANY: Record<Family, Uint8Array> = { ipv4: new Uint8Array(4), ipv6: new Uint8Array(16) }

/** The kernel keeps host bits zero, so its text is canonical as it is; that is checked, not computed anew: dumps are long. */
function destination(bytes: Uint8Array, length: number, family: Family): Prefix {
  if (bytes.length * 8 !== bitsOf(family) || length > bitsOf(family) || hasHostBits(bytes, length))
    throw malformed(`a route of family ${family} to ${Buffer.from(bytes).toString('hex')}/${length}`)
  return `${ipFromBytes(bytes)}/${length}` as Prefix
}

function hasHostBits(bytes: Uint8Array, length: number): boolean {
  const whole = length >> 3
  if (((bytes[whole] ?? 0) & (0xff >> (length & 7))) !== 0) return true
  for (let i = whole + 1; i < bytes.length; i++) if (bytes[i] !== 0) return true
  return false
}

/** struct rtvia: the gateway's own family, then its address. */
function otherGateway(bytes: Uint8Array): Ip {
  if (bytes.length !== 6 && bytes.length !== 18) throw malformed(`a gateway of ${bytes.length} bytes`)
  return ipFromBytes(bytes.subarray(2))
}
