// Whose a nexthop object of our mark is, where its link doesn't tell: several instances on this host may share an
// underlay, and whoever removes another's takes its routes along.
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { containsPrefix } from '../../model/prefix.ts'
import type { NexthopInfo } from '../../netlink/nexthop.ts'
import { parseRoute } from '../../netlink/route-info.ts'
import { listRoutes, ROUTE_VOLATILE, TABLE } from '../../netlink/route.ts'
import type { Witness } from '../witness.ts'
import type { Rtnetlink } from './rtnetlink.ts'

/** Whether nothing of ours can be there: its link is neither ours nor used, or its family none of ours. */
export function isBeyondUs(session: Rtnetlink, { linkIndex, family }: NexthopInfo): boolean {
  const link = session.nameOf(linkIndex)
  if (link === undefined || session.scope.links.has(link)) return false
  return !session.uses(link) || !session.families.some((ours) => ours === family)
}

/** Whether only the routes through it tell whose it is. */
export const isShared = (session: Rtnetlink, info: NexthopInfo): boolean =>
  session.ownName(info.linkIndex ?? 0) === undefined && !isBeyondUs(session, info)

/** By id who has marked routes through nexthops: others, if any of them leads outside our networks. */
export function usersOf(session: Rtnetlink, witness?: Witness): ReadonlyMap<number, 'ours' | 'others'> {
  const { networks } = session.scope
  const users = new Map<number, 'ours' | 'others'>()
  for (const family of session.families)
    session.dump(
      listRoutes({ family, table: TABLE.main, type: 'unicast', protocol: ROUTE_PROTOCOL }),
      ({ body }) => {
        const route = parseRoute(body)
        if (route?.nexthopId === undefined) return undefined
        const isOurs = networks.some((network) => containsPrefix(network, route.to))
        if (!isOurs || !users.has(route.nexthopId)) users.set(route.nexthopId, isOurs ? 'ours' : 'others')
        return undefined
      },
      witness,
      ROUTE_VOLATILE,
    )
  return users
}
