// What becomes of a choice when the host changes. The interface chosen at the start stays the one as long as it has its
// addresses, whatever its name, and whatever else would be preferred by now: a virtual address or another default
// route that comes up must not move this host. Pure.
import { parseIp, type Ip } from '../../model/ip.ts'
import {
  chooseInterface,
  complete,
  isByDefaultRoute,
  type Chosen,
  type InterfaceWish,
  type Stack,
} from './choose.ts'
import { isLinkLocal, type HostInterface, type HostView } from './host-view.ts'

/** The interface of before as it is now, else another by the wish; a sentence if there is none. */
export function keepInterface(
  view: HostView,
  wish: InterfaceWish,
  stack: Stack,
  before: Chosen,
): Chosen | string {
  const found = keep(view, wish, stack, before)
  if (typeof found === 'string' || (found.index !== before.index && found.link !== before.link)) return found
  const lost = demoted(before.ipv4, found.ipv4) ?? demoted(before.ipv6, found.ipv6)
  return lost === undefined
    ? found
    : `${found.link} has lost ${lost}, and no link-local address takes its place; give it another one`
}

/** While a link comes up it has its link-local address alone: where others shall look for this host is told after that. */
const demoted = (before: Ip | undefined, now: Ip | undefined): Ip | undefined =>
  before !== undefined && now !== undefined && !isLinkLocal(before) && isLinkLocal(now) ? before : undefined

function keep(view: HostView, wish: InterfaceWish, stack: Stack, before: Chosen): Chosen | string {
  const same = view.interfaces.find((i) => i.index === before.index)
  const kept = same && { interface: same, ipv4: still(same, before.ipv4), ipv6: still(same, before.ipv6) }
  if (kept !== undefined && kept.ipv4 === before.ipv4 && kept.ipv6 === before.ipv6)
    return complete(kept, wish, stack)
  const chosen = chooseInterface(view, wish, stack)
  if (kept === undefined) return chosen
  if (typeof chosen !== 'string' && chosen.index === before.index)
    return complete(
      { interface: kept.interface, ipv4: kept.ipv4 ?? chosen.ipv4, ipv6: kept.ipv6 ?? chosen.ipv6 },
      wish,
      stack,
    )
  // With its last address an interface loses its default route: another one's is no reason to leave it.
  const other = namesInterfaces(wish) ? complete(kept, wish, stack) : chosen
  return typeof other === 'string' ? chosen : other
}

const still = <I extends Ip>(where: HostInterface, ip: I | undefined): I | undefined =>
  where.addresses.some((a) => a.ip === ip && !a.deprecated) ? ip : undefined

/** Whether any address of the interface will do. */
const namesInterfaces = (wish: InterfaceWish): boolean =>
  isByDefaultRoute(wish) ||
  (wish.iface.length > 0 &&
    wish.iface.every((name) => parseIp(name) === undefined) &&
    wish.ifaceRegex.length === 0 &&
    wish.canReach === '')
