// What must stay, wanted or not, as long as a route leans on it that could not be moved away yet: its nexthop, which
// would take it along, the neighbour that it sends to, and the FDB entry behind that.
import type { KernelObject, KindName } from '../model/kernel.ts'
import { fdbKey } from './kinds/fdb.ts'
import { neighbourKey } from './kinds/neighbour.ts'
import { nexthopKey } from './kinds/nexthop.ts'

interface Books {
  readonly outcomes: { stuck(): Iterable<KernelObject> }
  have(key: string): KernelObject | undefined
}

/** Keys by kind. */
export function heldBy(
  books: ReadonlyMap<KindName, Books>,
): Readonly<Partial<Record<KindName, ReadonlySet<string>>>> {
  const held = { nexthop: new Set<string>(), neighbour: new Set<string>(), fdb: new Set<string>() }
  for (const route of books.get('route')?.outcomes.stuck() ?? []) {
    if (route.kind !== 'route') continue
    const { link, via } = route
    if (route.through === 'nexthop') held.nexthop.add(nexthopKey(route))
    const key = neighbourKey({ link, ip: via })
    held.neighbour.add(key)
    const neighbour = books.get('neighbour')?.have(key)
    if (neighbour?.kind === 'neighbour') held.fdb.add(fdbKey({ link, mac: neighbour.mac }))
  }
  return held
}
