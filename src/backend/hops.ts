// How a route to a peer has its gateway: in itself, or in a nexthop object, which costs the kernel less where there are
// thousands. Upstream keeps a direct route that equals its own even where a nexthop object carries it, and can't delete
// it later: such routes are plain unless told otherwise.
import type { KernelObject, Nexthop, Route } from '../model/kernel.ts'
import type { Prefix } from '../model/prefix.ts'

/** Which routes nexthop objects carry: none, those into tunnels, or direct ones too. */
export type NexthopUse = 'none' | 'tunnels' | 'all'

/** What `--nexthop-objects` (auto, always or never) comes to on a kernel that has them or not. */
export function nexthopUse(wish: string, hasNexthops: boolean): NexthopUse {
  if (!hasNexthops || wish === 'never') return 'none'
  return wish === 'always' ? 'all' : 'tunnels'
}

type Gateway = Pick<Nexthop, 'via' | 'link'>

/** A route to the gateway at the other end of a tunnel, which is on no connected prefix. */
export const tunnelRoute = (
  to: Prefix,
  hop: Gateway,
  use: NexthopUse,
  mtuBytes?: number,
): readonly KernelObject[] => through(to, { ...hop, onLink: true }, use !== 'none', mtuBytes)

/** A route through the peer's own address on our segment. */
export const directRoute = (to: Prefix, hop: Gateway, use: NexthopUse): readonly KernelObject[] =>
  through(to, { ...hop, onLink: false }, use === 'all')

const through = (
  to: Prefix,
  hop: Gateway & { readonly onLink: boolean },
  byObject: boolean,
  mtuBytes?: number,
): readonly KernelObject[] => {
  const { via, link, onLink } = hop
  const plain: Route = { kind: 'route', to, via, link, onLink, through: byObject ? 'nexthop' : 'plain' }
  const route = mtuBytes === undefined ? plain : { ...plain, mtuBytes }
  return byObject ? [{ kind: 'nexthop', via, link, onLink }, route] : [route]
}
