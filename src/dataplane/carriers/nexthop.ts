// Carries nexthop objects with an id of our range and our protocol: ours, and those of another instance on this host.
// It gives out the ids.
import { nexthop, type Nexthop, NEXTHOP_IDS, ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { isExists } from '../../netlink/error.ts'
import {
  addNexthop,
  listNexthops,
  type NexthopInfo,
  parseNexthop,
  putNexthop,
  removeNexthop,
  RTM_NEXTHOP,
} from '../../netlink/nexthop.ts'
import type { Message, Reply } from '../../netlink/wire.ts'
import { type Change, done, failed, type Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { nexthopKey } from '../kinds/nexthop.ts'
import { isBeyondUs, isShared, usersOf } from './nexthop-use.ts'
import type { NexthopTable } from './nexthop-table.ts'
import type { GatewayPut } from './gateway-way.ts'
import { noLink, putResult, removeResult, RtnetlinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

/** How often ids that were taken meanwhile are exchanged for others. */
const MOST_TRIES = 3

export class NexthopCarrier extends RtnetlinkCarrier<Nexthop> {
  readonly #table: NexthopTable

  constructor(session: Rtnetlink, table: NexthopTable) {
    super(session, [RTM_NEXTHOP.put, RTM_NEXTHOP.remove])
    this.#table = table
  }

  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly Nexthop[]> {
    if (!this.session.nexthopObjects) return []
    const all = this.#inRange(witness)
    const marked = new Map<number, Nexthop>()
    const shared = new Set(all.filter((info) => isShared(this.session, info)).map(({ id }) => id))
    const users = shared.size === 0 ? undefined : usersOf(this.session, witness)
    for (const info of all) {
      const object = this.#read(info)
      if (object === undefined) continue
      const isOthers = shared.has(info.id) && users?.get(info.id) !== 'ours'
      marked.set(info.id, isOthers ? { ...object, isOthers } : object)
    }
    const found = this.#table.load(marked, new Set(all.map(({ id }) => id)))
    if (witness !== undefined) {
      this.session.noteNames(new Set(all.map(({ linkIndex }) => linkIndex)), witness)
      this.#table.note(witness)
    }
    return found
  }

  #inRange(witness?: Witness): NexthopInfo[] {
    const parse = ({ body }: Reply) => {
      const info = parseNexthop(body)
      return isInRange(info.id) ? info : undefined
    }
    return this.session.dump(listNexthops(), parse, witness)
  }

  #read(info: NexthopInfo): Nexthop | undefined {
    const link = this.session.nameOf(info.linkIndex)
    const { via, onLink } = info
    if (info.protocol !== ROUTE_PROTOCOL || info.type !== 'plain') return undefined
    if (via === undefined || link === undefined) return undefined
    return nexthop({ via, link, onLink, ...(isBeyondUs(this.session, info) ? { isOthers: true } : {}) })
  }

  async apply(changes: readonly Change<Nexthop>[]): Promise<readonly Result[]> {
    if (!this.session.nexthopObjects)
      return changes.map(() => failed('this kernel has no nexthop objects (Linux 5.3 brought them)'))
    const results = this.#send(changes)
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const late = changes.filter((_change, index) => results[index] === undefined)
      if (late.length === 0) break
      // Another instance on this host was quicker to use the ids.
      this.#table.take(this.#inRange().map(({ id }) => id))
      const again = this.#send(late)
      for (const [index, change] of late.entries()) results[changes.indexOf(change)] = again[index]
    }
    return results.map((result) => result ?? failed('others kept taking the ids that were free'))
  }

  /** Undefined for what could not be put since its id has just been taken. */
  #send(changes: readonly Change<Nexthop>[]): (Result | undefined)[] {
    const numbered = changes.map((change) => ({
      change,
      known: change.op === 'put' ? this.#table.idOf(change.want) !== undefined : true,
      // Ids differ even before the kernel has the first of them: the table's counter moves on.
      id: change.op === 'put' ? this.#table.idFor(change.want) : this.#table.idToRemove(change.have),
    }))
    const late = new Set<Change<Nexthop>>()
    const { scope } = this.session
    const users = changes.some(({ op, have }) => op === 'remove' && !scope.links.has(have.link))
      ? usersOf(this.session)
      : undefined
    const results = this.batch(
      numbered,
      ({ change, id, known }): Message | GatewayPut | Result => {
        if (id === undefined) return done
        // Another instance has come to use it: it is theirs now.
        if (change.op === 'remove') return users?.get(id) === 'others' ? done : removeNexthop(id)
        const { via, link, onLink } = change.want
        const linkIndex = this.session.indexOf(link)
        if (linkIndex === undefined) return noLink(link)
        const hop = { id, linkIndex, via, onLink, protocol: ROUTE_PROTOCOL }
        return { message: (known ? putNexthop : addNexthop)(hop), ...hop }
      },
      ({ change, id }, error) => {
        if (change.op === 'put') {
          if (isExists(error)) late.add(change)
          const result = putResult(error, change.want.link)
          if (result.kind === 'done' && id !== undefined) this.#table.put(id, change.want)
          return result
        }
        const result = removeResult(error)
        if (result.kind === 'done' && id !== undefined) this.#table.remove(id)
        return result
      },
    )
    return changes.map((change, index) => (late.has(change) ? undefined : results[index]))
  }

  hear(type: number, body: Uint8Array): void {
    const info = parseNexthop(body)
    if (!isInRange(info.id)) return
    const object = this.#read(info)
    const before = this.#table.at(info.id)
    if (type === RTM_NEXTHOP.put) {
      // Whoever replaces the object under an id takes it from what was there.
      if (before !== undefined && (object === undefined || nexthopKey(before) !== nexthopKey(object))) {
        this.#table.remove(info.id)
        this.see(nexthopKey(before), false, before)
      }
      this.#table.take([info.id])
      if (object !== undefined) this.see(nexthopKey(object), true, object)
      return
    }
    this.#table.remove(info.id)
    const gone = before ?? object
    if (gone !== undefined) this.see(nexthopKey(gone), false, gone)
  }
}

const isInRange = (id: number): boolean => id >= NEXTHOP_IDS.base && id < NEXTHOP_IDS.base + NEXTHOP_IDS.size
