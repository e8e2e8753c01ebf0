// Reads this host's interfaces, addresses and routes from the kernel.
import type { Family, Ip } from '../../model/ip.ts'
import type { Mac } from '../../model/mac.ts'
import { lengthOf } from '../../model/prefix.ts'
import { IFA_F, listAddresses, parseAddress } from '../../netlink/address.ts'
import { isRefused } from '../../netlink/error.ts'
import { listLinks, parseLink, type LinkInfo } from '../../netlink/link.ts'
import { dumpRoutes, parseRoute, type RouteInfo } from '../../netlink/route-info.ts'
import { getRoute, TABLE } from '../../netlink/route.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { HostAddress, HostRoute, HostView } from './host-view.ts'

/** Interfaces and addresses are read at once, so that they belong together; routes when they are asked for. */
export function viewHost(netlink: NetlinkSocket): HostView {
  const links = netlink.dump(listLinks(), (reply) => parseLink(reply.body))
  const addresses = netlink.dump(listAddresses(), (reply) => parseAddress(reply.body))
  return {
    interfaces: links
      .sort((a, b) => a.index - b.index)
      .map(({ index, name, mtuBytes }) => ({
        index,
        name,
        mtuBytes,
        addresses: addresses.filter((a) => a.linkIndex === index).map(hostAddress),
      })),
    defaultRoute: (family) => defaultRoute(netlink, family),
    route: (ip) => routeTo(netlink, ip),
  }
}

const hostAddress = ({ ip, flags }: { ip: Ip; flags: number }): HostAddress => ({
  ip,
  permanent: (flags & IFA_F.permanent) !== 0,
  temporary: (flags & IFA_F.temporary) !== 0,
  deprecated: (flags & IFA_F.deprecated) !== 0,
})

const hostRoute = ({ linkIndex, source, multipath }: RouteInfo): HostRoute => ({
  linkIndex: multipath ? undefined : linkIndex,
  source,
})

function defaultRoute(netlink: NetlinkSocket, family: Family): HostRoute | undefined {
  const [first] = dumpRoutes(netlink, { family, table: TABLE.main, type: 'unicast' })
    .filter((route) => lengthOf(route.to) === 0)
    .sort((a, b) => a.metric - b.metric)
  return first && hostRoute(first)
}

function routeTo(netlink: NetlinkSocket, ip: Ip): HostRoute | undefined {
  try {
    const [reply] = netlink.request(getRoute(ip))
    const route = reply && parseRoute(reply.body)
    return route && hostRoute(route)
  } catch (error) {
    // No route, or one that says so (unreachable, blackhole, prohibit).
    if (isRefused(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'EACCES', 'ENODEV')) return undefined
    throw error
  }
}

/** The MAC of each VXLAN device that is named after its VNI, as flannel's are: another tunnel in its place is none. */
export const vxlanMacs = (netlink: NetlinkSocket): ReadonlyMap<string, Mac> =>
  new Map(
    netlink
      .dump(listLinks(), (reply) => parseLink(reply.body))
      .filter((l): l is LinkInfo & { mac: Mac } => l.mac !== undefined && l.name.endsWith(`.${l.vxlan?.vni}`))
      .map((l) => [l.name, l.mac]),
  )
