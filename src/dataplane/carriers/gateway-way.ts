// IPv6 takes an on-link gateway only where no route leads to it by another link, but for the default route: not while a
// peer's subnet, which its gateway is in, is still routed directly. For the time of the put a route to the gateway alone
// makes way.
import { bitsOf, familyOf, type Ip } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { prefixOf } from '../../model/prefix.ts'
import { isRefused, type NetlinkError } from '../../netlink/error.ts'
import { addRoute, removeRoute } from '../../netlink/route.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Message } from '../../netlink/wire.ts'

/** A put through a gateway, as it is sent. */
export interface GatewayPut {
  readonly message: Message
  readonly via?: Ip | undefined
  readonly linkIndex?: number | undefined
  readonly onLink?: boolean | undefined
}

/** Sends the puts; those that are refused for their gateway once more, with a way to it. One error or none for each. */
export function batchWithWays(
  socket: NetlinkSocket,
  puts: readonly GatewayPut[],
): (NetlinkError | undefined)[] {
  const errors = socket.batch(puts.map(({ message }) => message))
  const again = puts.flatMap((put, index) => {
    const way = isRefused(errors[index], 'EINVAL') ? wayTo(put) : undefined
    return way === undefined ? [] : [{ put, index, way }]
  })
  if (again.length === 0) return errors
  const refused = socket.batch(again.map(({ way }) => addRoute(way)))
  const made = again.filter((_, i) => refused[i] === undefined)
  try {
    const outcomes = socket.batch(made.map(({ put }) => put.message))
    for (const [i, { index }] of made.entries()) errors[index] = outcomes[i]
  } finally {
    socket.batch(made.map(({ way }) => removeRoute(way)))
  }
  return errors
}

function wayTo({ via, linkIndex, onLink }: GatewayPut) {
  if (onLink !== true || via === undefined || linkIndex === undefined || familyOf(via) !== 'ipv6')
    return undefined
  return { to: prefixOf(via, bitsOf('ipv6')), linkIndex, protocol: ROUTE_PROTOCOL }
}
