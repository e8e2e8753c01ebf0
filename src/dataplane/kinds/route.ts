// Unicast routes to peers' subnets in the main table.
import { ROUTE_PROTOCOL, type Route } from '../../model/kernel.ts'
import { containsPrefix } from '../../model/prefix.ts'
import type { Kind } from '../kind.ts'

/** rtm_protocol (linux/rtnetlink.h): the kernel's own routes, and what `ip route add` and upstream install. */
export const RTPROT = { kernel: 2, boot: 3 } as const
/** What a route without a metric gets (RTA_PRIORITY absent; IP6_RT_PRIO_USER). */
export const METRIC = { ipv4: 0, ipv6: 1024 } as const

export const routeKind: Kind<Route> = {
  name: 'route',
  after: ['link', 'address', 'neighbour', 'fdb', 'nexthop'],
  key: (r) => r.to,
  on: (r) => r.link,
  same: (want, have) => protocolOf(have) === ROUTE_PROTOCOL && isEqual(want, have),
  ours(have, scope) {
    const protocol = protocolOf(have)
    if (protocol === RTPROT.kernel) return 'foreign'
    const inside = scope.networks.some((network) => containsPrefix(network, have.to))
    const onOurs = scope.links.has(have.link)
    if (protocol === ROUTE_PROTOCOL) return inside || onOurs ? 'ours' : 'foreign'
    if (!inside) return 'foreign'
    // On a device of ours it is upstream's, a changed one of ours, or one that takes the place of ours.
    if (onOurs) return 'ours'
    if (have.metric !== undefined) return 'foreign'
    return protocol === RTPROT.boot ? 'adopt' : 'foreign'
  },
  adopts: (want, have) => isEqual(want, have),
  disturbs: () => [],
}

const protocolOf = (r: Route): number => r.protocol ?? ROUTE_PROTOCOL

const isEqual = (a: Route, b: Route): boolean =>
  a.unrecognised === b.unrecognised &&
  a.metric === b.metric &&
  a.to === b.to &&
  a.via === b.via &&
  a.link === b.link &&
  a.onLink === b.onLink &&
  a.through === b.through &&
  a.mtuBytes === b.mtuBytes
