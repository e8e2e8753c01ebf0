// Carries blackhole routes of the main table. As with other routes, ours is added before upstream's is removed.
import { type Blackhole, blackhole, BLACKHOLE_METRIC, ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { familyOfPrefix } from '../../model/prefix.ts'
import { isExists, type NetlinkError } from '../../netlink/error.ts'
import { parseRoute, type RouteInfo } from '../../netlink/route-info.ts'
import {
  addRoute,
  listRoutes,
  PROTOCOL,
  removeRoute,
  ROUTE_VOLATILE,
  RTM_ROUTE,
  TABLE,
} from '../../netlink/route.ts'
import type { Message } from '../../netlink/wire.ts'
import { type Change, done, failed, type Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { blackholeKind } from '../kinds/blackhole.ts'
import { removeResult, RtnetlinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

const MARKED = [ROUTE_PROTOCOL, PROTOCOL.boot]

export class BlackholeCarrier extends RtnetlinkCarrier<Blackhole> {
  constructor(session: Rtnetlink) {
    super(session, [RTM_ROUTE.put, RTM_ROUTE.remove])
  }

  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly Blackhole[]> {
    return this.session.families.flatMap((family) =>
      MARKED.flatMap((protocol) =>
        this.session.dump(
          listRoutes({ family, table: TABLE.main, type: 'blackhole', protocol }),
          ({ body }) => {
            const info = parseRoute(body)
            return info?.protocol === protocol ? read(info) : undefined
          },
          witness,
          ROUTE_VOLATILE,
        ),
      ),
    )
  }

  async apply(changes: readonly Change<Blackhole>[]): Promise<readonly Result[]> {
    const put = this.batch(
      changes,
      (change): Message | Result => (change.op === 'put' ? addRoute(message(change.want)) : done),
      (change, error) => this.#outcome(change, error),
    )
    return this.batch(
      changes.map((change, index) => ({ ...change, result: put[index] ?? done })),
      ({ have, result }): Message | Result =>
        have === undefined || result.kind !== 'done' ? result : removeRoute(message(have)),
      (_change, error) => removeResult(error),
    )
  }

  #outcome(change: Change<Blackhole>, error: NetlinkError | undefined): Result {
    if (error === undefined) return done
    const { to } = change.op === 'put' ? change.want : change.have
    const { message: refusal } = error
    if (!isExists(error)) return failed(refusal)
    const there = this.#at(to)
    const found = there && read(there)
    if (found !== undefined && blackholeKind.same(blackhole(to), found)) return done
    return failed(
      there === undefined
        ? refusal
        : `${to} has a route with metric ${BLACKHOLE_METRIC} that is not heddle's (${there.type}, protocol ${there.protocol}); if nobody needs it, remove it: ip route del ${there.type} ${to} metric ${BLACKHOLE_METRIC}`,
    )
  }

  /** The route that stands where ours is to be. */
  #at(to: Blackhole['to']): RouteInfo | undefined {
    const list = listRoutes({ family: familyOfPrefix(to), table: TABLE.main })
    return this.session.socket
      .dump(list, ({ body }) => parseRoute(body))
      .find((info) => info.table === TABLE.main && info.to === to && info.metric === BLACKHOLE_METRIC)
  }

  hear(type: number, body: Uint8Array): void {
    const info = parseRoute(body)
    if (info === undefined || info.table !== TABLE.main || info.cloned) return
    const object = read(info)
    const put = type === RTM_ROUTE.put
    if (object !== undefined) this.see(blackholeKind.key(object), put, object)
    // It may stand where ours did.
    else if (put && info.metric === BLACKHOLE_METRIC)
      this.queue.push({ kind: 'seen', key: info.to, have: undefined })
  }
}

const message = ({ to, protocol = ROUTE_PROTOCOL, metric = BLACKHOLE_METRIC }: Blackhole) => ({
  to,
  type: 'blackhole' as const,
  protocol,
  metric,
})

function read({ type, table, to, protocol, metric }: RouteInfo): Blackhole | undefined {
  if (type !== 'blackhole' || table !== TABLE.main) return undefined
  return {
    ...blackhole(to),
    ...(protocol === ROUTE_PROTOCOL ? {} : { protocol }),
    ...(metric === BLACKHOLE_METRIC ? {} : { metric }),
  }
}
