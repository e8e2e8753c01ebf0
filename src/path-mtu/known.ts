// What another run found out about paths, as it stands in the kernel: on the routes into tunnels.
import type { Prefix } from '../model/prefix.ts'
import { FAMILIES } from '../model/ip.ts'
import { ROUTE_PROTOCOL } from '../model/kernel.ts'
import { dumpRoutes } from '../netlink/route-info.ts'
import { TABLE } from '../netlink/route.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'

/** By subnet, what packets to it may have within the tunnel. */
export function knownMtus(socket: NetlinkSocket): Map<Prefix, number> {
  const routes = FAMILIES.flatMap((family) =>
    dumpRoutes(socket, { family, table: TABLE.main, protocol: ROUTE_PROTOCOL, type: 'unicast' }),
  )
  return new Map(
    routes.flatMap(({ to, mtuBytes }) => (mtuBytes === undefined ? [] : [[to, mtuBytes] as const])),
  )
}
