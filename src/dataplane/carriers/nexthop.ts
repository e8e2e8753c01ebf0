// Carries nexthop objects: those with an id of our range and our protocol. It gives out the ids.
import { nexthop, type Nexthop, NEXTHOP_IDS, ROUTE_PROTOCOL } from '../../model/kernel.ts'
import {
  listNexthops,
  type NexthopInfo,
  parseNexthop,
  putNexthop,
  removeNexthop,
  RTM_NEXTHOP,
} from '../../netlink/nexthop.ts'
import type { Message } from '../../netlink/wire.ts'
import { type Change, done, failed, type Result } from '../carrier.ts'
import { nexthopKey } from '../kinds/nexthop.ts'
import type { NexthopTable } from './nexthop-table.ts'
import { noLink, putResult, removeResult, RtnetlinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

export class NexthopCarrier extends RtnetlinkCarrier<Nexthop> {
  readonly #table: NexthopTable

  constructor(session: Rtnetlink, table: NexthopTable) {
    super(session, [RTM_NEXTHOP.put, RTM_NEXTHOP.remove])
    this.#table = table
  }

  async dump(): Promise<readonly Nexthop[]> {
    if (!this.session.nexthopObjects) return []
    const ours = new Map<number, Nexthop>()
    const taken = new Set<number>()
    this.session.socket.dump(listNexthops(), ({ body }) => {
      const info = parseNexthop(body)
      if (!isInRange(info.id)) return undefined
      taken.add(info.id)
      const object = this.#read(info)
      if (object !== undefined) ours.set(info.id, object)
      return undefined
    })
    return this.#table.load(ours, taken)
  }

  #read(info: NexthopInfo): Nexthop | undefined {
    const link = this.session.nameOf(info.linkIndex)
    return info.protocol !== ROUTE_PROTOCOL ||
      info.type !== 'plain' ||
      info.via === undefined ||
      link === undefined
      ? undefined
      : nexthop({ via: info.via, link, onLink: info.onLink })
  }

  async apply(changes: readonly Change<Nexthop>[]): Promise<readonly Result[]> {
    if (!this.session.nexthopObjects)
      return changes.map(() => failed('this kernel has no nexthop objects (Linux 5.3 brought them)'))
    const ids = changes.map((change) =>
      // Ids differ even before the kernel has the first of them: the table's counter moves on.
      change.op === 'put' ? this.#table.idFor(change.want) : this.#table.idToRemove(change.have),
    )
    const numbered = changes.map((change, index) => ({ change, id: ids[index] }))
    return this.batch(
      numbered,
      ({ change, id }): Message | Result => {
        if (id === undefined) return done
        if (change.op === 'remove') return removeNexthop(id)
        const { via, link, onLink } = change.want
        const linkIndex = this.session.indexOf(link)
        return linkIndex === undefined
          ? noLink(link)
          : putNexthop({ id, linkIndex, via, onLink, protocol: ROUTE_PROTOCOL })
      },
      ({ change, id }, error) => {
        if (change.op === 'put') {
          const result = putResult(error, change.want.link)
          if (result.kind === 'done' && id !== undefined) this.#table.put(id, change.want)
          return result
        }
        const result = removeResult(error)
        if (result.kind === 'done' && id !== undefined) this.#table.remove(id)
        return result
      },
    )
  }

  hear(type: number, body: Uint8Array): void {
    const info = parseNexthop(body)
    if (!isInRange(info.id)) return
    if (type === RTM_NEXTHOP.put) {
      const object = this.#read(info)
      if (object !== undefined) this.see(nexthopKey(object), true, object)
      return
    }
    const object = this.#table.remove(info.id) ?? this.#read(info)
    if (object !== undefined) this.see(nexthopKey(object), false, object)
  }
}

const isInRange = (id: number): boolean => id >= NEXTHOP_IDS.base && id < NEXTHOP_IDS.base + NEXTHOP_IDS.size
