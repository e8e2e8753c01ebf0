// Routes as the kernel reports them: struct rtmsg and RTA_* read (linux/rtnetlink.h).
import { bitsOf, type Family, type Ip, ipFromBytes } from '../model/ip.ts'
import type { Prefix } from '../model/prefix.ts'
import { Attributes, u32 } from './attributes.ts'
import { isRefused, malformed } from './error.ts'
import { familyOfNumber } from './family.ts'
import { RTNH_F } from './nexthop.ts'
import {
  listRoutes,
  RTA,
  RTAX,
  RTAX_LOCK_MTU,
  RTMSG_BYTES,
  type RouteFilter,
  type RouteType,
  TYPES,
} from './route.ts'
import type { NetlinkSocket } from './socket.ts'
import type { Reply } from './wire.ts'

const NAMES = new Map(Object.entries(TYPES).map(([name, number]) => [number as number, name as RouteType]))
const RTM_F_CLONED = 0x200

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
  /** RTAX_MTU, as `mtuBytes` of a request sets it. */
  readonly mtuBytes: number | undefined
  /** There are other metrics (RTAX_*), or it is locked where a request wouldn't, or not where it would. */
  readonly otherMetrics: boolean
  /** A cached exception of another route's (path MTU, redirect). */
  readonly cloned: boolean
  /** RTNH_F_*: `dead`, `linkDown`. */
  readonly flags: number
}

/** The route in the body of an RTM_NEWROUTE or RTM_DELROUTE; undefined for families we don't know (MPLS). */
export function parseRoute(body: Uint8Array): RouteInfo | undefined {
  const a = new Attributes(body, RTMSG_BYTES, 'a route')
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
  let metrics: Metrics | undefined
  while (a.next())
    if (a.type === RTA.dst) dst = a.bytes()
    else if (a.type === RTA.gateway) via = a.ip()
    else if (a.type === RTA.oif) linkIndex = a.u32()
    else if (a.type === RTA.priority) metric = a.u32()
    else if (a.type === RTA.table) table = a.u32()
    else if (a.type === RTA.nexthopId) nexthopId = a.u32()
    else if (a.type === RTA.prefSource) source = a.ip()
    else if (a.type === RTA.multipath) multipath = true
    else if (a.type === RTA.metrics) metrics = parseMetrics(a.nested(), family)
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
    mtuBytes: metrics?.mtuBytes,
    otherMetrics: metrics?.otherMetrics ?? false,
    cloned: (flags & RTM_F_CLONED) !== 0,
    flags,
  }
}

/** As parseRoute, but of a unicast route without a gateway only its link's index; 0 for any other route. */
export function directLinkIndex(body: Uint8Array): number {
  const a = new Attributes(body, RTMSG_BYTES, 'a route')
  let linkIndex = 0
  while (a.next())
    if (a.type === RTA.oif) linkIndex = a.u32()
    else if (a.type === RTA.gateway || a.type === RTA.via || a.type === RTA.multipath) return 0
  return body[7] === TYPES.unicast ? linkIndex : 0
}

type Metrics = Pick<RouteInfo, 'mtuBytes' | 'otherMetrics'>

function parseMetrics(a: Attributes, family: Family): Metrics {
  let mtuBytes: number | undefined
  let locks = 0
  let otherMetrics = false
  while (a.next())
    if (a.type === RTAX.mtu) mtuBytes = a.u32()
    else if (a.type === RTAX.lock) locks = a.u32()
    else otherMetrics = true
  const usual = mtuBytes !== undefined && family === 'ipv6' ? RTAX_LOCK_MTU : 0
  return { mtuBytes, otherMetrics: otherMetrics || locks !== usual }
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
