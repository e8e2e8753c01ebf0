// Requests about routes of both families: struct rtmsg and RTA_* (linux/rtnetlink.h). What the kernel reports is read
// by route-info.ts.
import { bitsOf, familyOf, isIPv4, type Family, type Ip } from '../model/ip.ts'
import { baseOf, familyOfPrefix, lengthOf, type Prefix } from '../model/prefix.ts'
import { SCOPE } from './address.ts'
import { AF } from './family.ts'
import type { Volatile } from './imprint.ts'
import { RTNH_F } from './nexthop.ts'
import { type Message, NLM_F, Writer } from './wire.ts'

export const RTM_ROUTE = { put: 24, remove: 25, get: 26 } as const
/** Bytes of struct rtmsg. */
export const RTMSG_BYTES = 12
export const RTA = {
  dst: 1,
  src: 2,
  iif: 3,
  oif: 4,
  gateway: 5,
  priority: 6,
  prefSource: 7,
  metrics: 8,
  multipath: 9,
  cacheInfo: 12,
  table: 15,
  via: 18,
  nexthopId: 30,
} as const
/** RTAX_*, of which RTAX_LOCK holds bits by the others' numbers. */
export const RTAX = { lock: 1, mtu: 2 } as const
export const RTAX_LOCK_MTU = 1 << RTAX.mtu
/** RT_TABLE_*. */
export const TABLE = { main: 254, local: 255 } as const
/** RTPROT_*: who made a route. */
export const PROTOCOL = { redirect: 1, kernel: 2, boot: 3, static: 4, ra: 9, dhcp: 16 } as const
/** RTN_*. */
export const TYPES = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const
export type RouteType = keyof typeof TYPES
/** Ages of IPv6 routes. */
export const ROUTE_VOLATILE: Volatile = { header: RTMSG_BYTES, attribute: RTA.cacheInfo }

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
  /**
   * 0: none, said expressly. Of an IPv4 route through a nexthop object that has metrics, the kernel takes one without any
   * for the same (fib_find_info_nh).
   */
  readonly mtuBytes?: number
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
    if (r.mtuBytes !== undefined) metrics(w, r.mtuBytes, family)
  })
}

/** Of IPv6 the kernel heeds the MTU of a route when it forwards only if that is locked (ip6_dst_mtu_maybe_forward). */
const metrics = (w: Writer, mtuBytes: number, family: Family): Writer =>
  w.attribute(RTA.metrics, () => {
    if (family === 'ipv6') w.attrU32(RTAX.lock, RTAX_LOCK_MTU)
    w.attrU32(RTAX.mtu, mtuBytes)
  })

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

export interface RouteFilter {
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

/** RTM_F_* of a question: the table's own entry in place of what comes of it; the table it is in (IPv4 only). */
const RTM_F = { lookupTable: 0x1000, fibMatch: 0x2000 } as const

interface RouteQuestion {
  readonly from?: Ip
  /** By which the packet leaves. */
  readonly linkIndex?: number
  /** By which it came: how it would be forwarded. */
  readonly inputIndex?: number
  /** The entry of the table that decides, as it is dumped, in place of what comes of it. */
  readonly fibMatch?: boolean
}

/**
 * Asks which route a packet to `ip` takes: `socket.request` returns one reply. ENETUNREACH if none; EHOSTUNREACH,
 * EACCES or, of IPv4, EINVAL where a route forbids it.
 */
export const getRoute = (ip: Ip, options: RouteQuestion = {}): Message =>
  Writer.message(RTM_ROUTE.get, 0, `get route to ${ip}`, (w) => {
    w.u8(AF[familyOf(ip)])
      .u8(bitsOf(familyOf(ip)))
      .u8(options.from === undefined ? 0 : bitsOf(familyOf(ip)))
      .zero(5)
      .u32(options.fibMatch === true ? RTM_F.fibMatch | (isIPv4(ip) ? RTM_F.lookupTable : 0) : 0)
    w.attrIp(RTA.dst, ip)
    if (options.from !== undefined) w.attrIp(RTA.src, options.from)
    if (options.inputIndex !== undefined) w.attrU32(RTA.iif, options.inputIndex)
    if (options.linkIndex !== undefined) w.attrU32(RTA.oif, options.linkIndex)
  })
