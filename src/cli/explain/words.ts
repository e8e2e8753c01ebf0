// Routes, next hops and links as ip(8) prints them. Pure.
import type { LinkInfo } from '../../netlink/link.ts'
import type { NexthopInfo } from '../../netlink/nexthop.ts'
import type { RouteInfo } from '../../netlink/route-info.ts'
import { PROTOCOL, TABLE } from '../../netlink/route.ts'
import { lengthOf } from '../../model/prefix.ts'

type NameOf = (index: number | undefined) => string

export function routeText(route: RouteInfo, nameOf: NameOf): string {
  const to = lengthOf(route.to) === 0 ? 'default' : route.to
  return [
    route.type === 'unicast' ? to : `${route.type ?? 'unknown'} ${to}`,
    ...(route.nexthopId === undefined ? [] : [`nhid ${route.nexthopId}`]),
    ...(route.via === undefined ? [] : [`via ${route.via}`]),
    ...(route.linkIndex === undefined ? [] : [`dev ${nameOf(route.linkIndex)}`]),
    `proto ${protocolText(route.protocol)}${tableOf(route)}`,
    ...(route.metric === 0 ? [] : [`metric ${route.metric}`]),
    ...(route.onLink ? ['onlink'] : []),
    ...(route.mtuBytes === undefined ? [] : [`mtu ${route.mtuBytes}`]),
  ].join(' ')
}

/** Empty for those that `ip route` means without it. */
export const tableOf = ({ table }: RouteInfo): string =>
  table === TABLE.main || table === TABLE.local ? '' : ` table ${table}`

export const protocolText = (protocol: number): string =>
  Object.entries(PROTOCOL).find(([, number]) => number === protocol)?.[0] ?? `${protocol}`

export const nexthopText = ({ id, via, linkIndex, onLink, protocol }: NexthopInfo, nameOf: NameOf): string =>
  `id ${id}${via === undefined ? '' : ` via ${via}`}${linkIndex === undefined ? '' : ` dev ${nameOf(linkIndex)}`}${
    onLink ? ' onlink' : ''
  } proto ${protocolText(protocol)}`

export function linkText(link: LinkInfo, nameOf: NameOf): string {
  const { name, type, up, mtuBytes, master, mac, vxlan } = link
  return [
    name,
    ...(type === undefined ? [] : [type]),
    ...(vxlan === undefined
      ? []
      : [
          `id ${vxlan.vni}`,
          ...(vxlan.local === undefined ? [] : [`local ${vxlan.local}`]),
          ...(vxlan.link === undefined ? [] : [`dev ${nameOf(vxlan.link)}`]),
          ...(vxlan.port === undefined ? [] : [`dstport ${vxlan.port}`]),
        ]),
    up ? 'up' : 'down',
    `mtu ${mtuBytes}`,
    ...(master === undefined ? [] : [`master ${nameOf(master)}`]),
    ...(mac === undefined ? [] : [mac]),
  ].join(' ')
}
