// Where a packet comes from: this host, or in by the link behind which its source is, which must let it in.
import type { Ip } from '../../model/ip.ts'
import { lengthOf } from '../../model/prefix.ts'
import { isBroken, type Hop } from './hop.ts'
import { linkHop, onSegment } from './last-mile.ts'
import { missingRoute } from './missing-route.ts'
import type { Told } from './told.ts'
import { isRefused, type KernelView, type Origin } from './view.ts'

/** Undefined once a broken hop has been told. */
export function* originOf(
  view: KernelView,
  from: Ip | undefined,
  told: Told,
): Generator<Hop, Origin | undefined> {
  if (from === undefined) return {}
  if (view.isOwn(from)) return { from }
  const own = told.ownSubnetOf(from)
  const entry = view.entry(from)
  if (own !== undefined && (isRefused(entry) || lengthOf(entry.to) < lengthOf(own))) {
    yield missingRoute(view, from, told)
    return undefined
  }
  const back = view.route(from)
  const link = isRefused(back) || back.type !== 'unicast' ? undefined : view.link(back.linkIndex)
  if (link === undefined) {
    yield {
      layer: 'inner',
      kind: 'route',
      state: 'missing',
      object: from,
      note: 'that is where the packet would come from, and no route leads back to it',
    }
    return undefined
  }
  yield linkHop(view, link, 'inner', 'the packet comes in by it')
  if (own !== undefined) yield* [...onSegment(view, link, from, 'inner')].filter(isBroken)
  return { from, inputIndex: link.index }
}
