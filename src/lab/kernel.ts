// What the kernel of one host was given for the pod network, read back from the kernel itself.
import { tableName } from '../firewall/rules.ts'
import { lengthOf, overlaps, type Prefix } from '../model/prefix.ts'
import { listAddresses, parseAddress, SCOPE } from '../netlink/address.ts'
import { isRefused } from '../netlink/error.ts'
import { listLinks, parseLink, type LinkInfo } from '../netlink/link.ts'
import { listFdb, listNeighbours, NUD, parseNeighbour } from '../netlink/neighbour.ts'
import { listNexthops, parseNexthop } from '../netlink/nexthop.ts'
import { readTable } from '../netlink/nftables/read.ts'
import { dumpRoutes } from '../netlink/route-info.ts'
import { PROTOCOL, TABLE } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'
import { count } from './words.ts'

/** Text as `ip` and `bridge` would say it, one object each. */
export interface KernelFacts {
  readonly links: readonly string[]
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
  readonly neighbours: readonly string[]
  readonly fdb: readonly string[]
  readonly nexthops: readonly string[]
  /** nf_tables tables with the number of their rules. */
  readonly tables: readonly string[]
}

/** Tunnel devices and what hangs on them, routes into the pod network, nexthops, and the masquerade and forward rules. */
export function kernelFacts(host: Namespace, networks: readonly Prefix[]): KernelFacts {
  using socket = NetlinkSocket.open('route', host)
  const links = socket.dump(listLinks(), (reply) => parseLink(reply.body))
  const name = (index: number | undefined): string => links.find((link) => link.index === index)?.name ?? '?'
  const tunnels = links.filter((link) => link.type === 'vxlan')
  const onTunnel = (index: number | undefined): boolean => tunnels.some((link) => link.index === index)
  return {
    links: tunnels.map(describeTunnel),
    addresses: socket.dump(listAddresses(), (reply) => {
      const a = parseAddress(reply.body)
      return a !== undefined && onTunnel(a.linkIndex) && a.scope !== SCOPE.link
        ? `${a.ip}/${a.length} dev ${name(a.linkIndex)}`
        : undefined
    }),
    routes: FAMILIES.flatMap((family) => dumpRoutes(socket, { family, table: TABLE.main, type: 'unicast' }))
      .filter(
        (route) =>
          route.protocol !== PROTOCOL.kernel &&
          lengthOf(route.to) > 0 &&
          networks.some((network) => overlaps(route.to, network)),
      )
      .map((route) => {
        const through = route.nexthopId === undefined ? '' : ` nhid ${route.nexthopId}`
        const via = route.via === undefined ? '' : ` via ${route.via}`
        return `${route.to}${through}${via} dev ${name(route.linkIndex)}${route.onLink ? ' onlink' : ''}`
      }),
    neighbours: FAMILIES.flatMap((family) =>
      socket.dump(listNeighbours({ family }), (reply) => {
        const n = parseNeighbour(reply.body)
        return n?.kind === 'neighbour' && onTunnel(n.linkIndex) && n.state === NUD.permanent
          ? `${n.ip} dev ${name(n.linkIndex)} lladdr ${n.mac ?? '?'}`
          : undefined
      }),
    ),
    fdb: socket.dump(listFdb(), (reply) => {
      const f = parseNeighbour(reply.body)
      return f?.kind === 'fdb' && onTunnel(f.linkIndex) && f.dst !== undefined
        ? `${f.mac} dev ${name(f.linkIndex)} dst ${f.dst}`
        : undefined
    }),
    nexthops: nexthops(socket, name),
    tables: tables(host),
  }
}

const FAMILIES = ['ipv4', 'ipv6'] as const

function describeTunnel(link: LinkInfo): string {
  const v = link.vxlan
  const vxlan = v === undefined ? '' : ` vxlan id ${v.vni} local ${v.local ?? 'any'} dstport ${v.port ?? 0}`
  return `${link.name}${vxlan} mtu ${link.mtuBytes} lladdr ${link.mac ?? '?'}${link.up ? '' : ' DOWN'}`
}

/** Kernels before 5.3 have none. */
function nexthops(socket: NetlinkSocket, name: (index: number | undefined) => string): string[] {
  try {
    return socket.dump(listNexthops(), (reply) => {
      const n = parseNexthop(reply.body)
      return `id ${n.id} via ${n.via ?? '?'} dev ${name(n.linkIndex)}${n.onLink ? ' onlink' : ''}`
    })
  } catch (error) {
    if (isRefused(error, 'EOPNOTSUPP', 'EINVAL')) return []
    throw error
  }
}

function tables(host: Namespace): string[] {
  using socket = NetlinkSocket.open('netfilter', host)
  return FAMILIES.flatMap((family) => {
    const table = readTable(socket, { family, name: tableName(family) })
    if (table === undefined || table.chains.length === 0) return []
    const chains = table.chains.map((chain) => `${chain.name} (${count(chain.rules.length, 'rule')})`)
    return [`${family === 'ipv4' ? 'ip' : 'ip6'} ${table.name}: ${chains.join(', ')}`]
  })
}
