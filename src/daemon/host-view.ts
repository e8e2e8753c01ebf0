// What the kernel says of this host's interfaces and routes, for the choice of the inter-host one; and what tells
// this host from its clones.
import { readFileSync } from 'node:fs'
import type { Ip } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'
import { lengthOf } from '../model/prefix.ts'
import { IFA_F, listAddresses, parseAddress, SCOPE } from '../netlink/address.ts'
import { isRefused } from '../netlink/error.ts'
import { listLinks, parseLink, type LinkInfo } from '../netlink/link.ts'
import { dumpRoutes, parseRoute } from '../netlink/route-info.ts'
import { getRoute, TABLE } from '../netlink/route.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import type { HostAddress, HostView } from './interface.ts'

const IFA_F_DEPRECATED = 0x20

/** Read at once, so that names, addresses and routes belong together. */
export function viewHost(netlink: NetlinkSocket): HostView {
  const links = netlink.dump(listLinks(), (reply) => parseLink(reply.body))
  const addresses = netlink.dump(listAddresses(), (reply) => parseAddress(reply.body))
  const nameOf = (index: number | undefined) => links.find((l) => l.index === index)?.name
  const defaultRoute = dumpRoutes(netlink, { family: 'ipv4', table: TABLE.main, type: 'unicast' })
    .filter((route) => lengthOf(route.to) === 0)
    .sort((a, b) => a.metric - b.metric)[0]
  return {
    interfaces: links
      .sort((a, b) => a.index - b.index)
      .map((l) => ({
        name: l.name,
        mtuBytes: l.mtuBytes,
        addresses: addresses.filter((a) => a.linkIndex === l.index).map(hostAddress),
      })),
    defaultInterface: nameOf(defaultRoute?.linkIndex),
    route: (ip) => routeTo(netlink, ip, nameOf),
  }
}

const hostAddress = (a: { ip: Ip; scope: number; flags: number }): HostAddress => ({
  ip: a.ip,
  scope:
    a.scope === SCOPE.universe || a.scope === SCOPE.site
      ? 'global'
      : a.scope === SCOPE.link
        ? 'link'
        : 'host',
  permanent: (a.flags & IFA_F.permanent) !== 0,
  deprecated: (a.flags & IFA_F_DEPRECATED) !== 0,
})

function routeTo(netlink: NetlinkSocket, ip: Ip, nameOf: (index: number | undefined) => string | undefined) {
  try {
    const [reply] = netlink.request(getRoute(ip))
    const route = reply && parseRoute(reply.body)
    const link = nameOf(route?.linkIndex)
    return route && link !== undefined ? { link, source: route.source } : undefined
  } catch (error) {
    if (isRefused(error, 'ENETUNREACH', 'EHOSTUNREACH', 'EINVAL')) return undefined
    throw error
  }
}

/** The MAC of each link that has one, by name. */
export const macsOf = (netlink: NetlinkSocket): ReadonlyMap<string, Mac> =>
  new Map(
    netlink
      .dump(listLinks(), (reply) => parseLink(reply.body))
      .filter((l): l is LinkInfo & { mac: Mac } => l.mac !== undefined && l.type === 'vxlan')
      .map((l) => [l.name, l.mac]),
  )

/** The text of /etc/machine-id; a host without one is told from others by its address alone. */
export function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
