// Ids of marked nexthop objects by what they are, and back. Ids belong here and to the kernel; nobody else knows them.
import { NEXTHOP_IDS, type Nexthop } from '../../model/kernel.ts'
import { isRefused } from '../../netlink/error.ts'
import { listNexthops } from '../../netlink/nexthop.ts'
import type { Message } from '../../netlink/wire.ts'
import type { Witness } from '../witness.ts'
import { nexthopKey } from '../kinds/nexthop.ts'

export class NexthopTable {
  #ids = new Map<string, number>()
  #byId = new Map<number, Nexthop>()
  /** Ids of our range that are in use, by others too. */
  #taken = new Set<number>()
  #next: number = NEXTHOP_IDS.base
  /** Ids of objects that are there a second time. */
  #doubles = new Map<Nexthop, number>()
  #version = 0

  /** Whether nothing has changed here since can be asked of `witness`. */
  note(witness: Witness): void {
    const version = this.#version
    witness.add(() => this.#version === version)
  }

  /**
   * Takes a full dump for the truth: the marked ones by id, and all ids in use. Returns the former, doubles among them;
   * those that are as they were are the same objects as before, and where all are, nothing has changed.
   */
  load(marked: ReadonlyMap<number, Nexthop>, taken: Set<number>): readonly Nexthop[] {
    const byId = new Map([...marked].map(([id, object]) => [id, this.#known(id, object)] as const))
    const isSame =
      byId.size === this.#byId.size && [...byId].every(([id, object]) => this.#byId.get(id) === object)
    if (!isSame || taken.symmetricDifference(this.#taken).size > 0) this.#version++
    this.#ids = new Map()
    this.#byId = byId
    this.#taken = taken
    this.#doubles = new Map()
    for (const [id, object] of byId) {
      const key = nexthopKey(object)
      if (this.#ids.has(key)) this.#doubles.set(object, id)
      else this.#ids.set(key, id)
    }
    return [...byId.values()]
  }

  #known(id: number, object: Nexthop): Nexthop {
    const known = this.#byId.get(id)
    const isSame =
      known !== undefined &&
      nexthopKey(known) === nexthopKey(object) &&
      known.onLink === object.onLink &&
      known.isOthers === object.isOthers
    return isSame ? known : object
  }

  idOf(nexthop: Pick<Nexthop, 'via' | 'link'>): number | undefined {
    return this.#ids.get(nexthopKey(nexthop))
  }
  at(id: number): Nexthop | undefined {
    return this.#byId.get(id)
  }
  /** The id under which exactly this object was dumped. */
  idToRemove(nexthop: Nexthop): number | undefined {
    return this.#doubles.get(nexthop) ?? this.idOf(nexthop)
  }

  /** The id that the object has, or a free one for it. */
  idFor(nexthop: Nexthop): number {
    const known = this.idOf(nexthop)
    if (known !== undefined) return known
    const { base, size } = NEXTHOP_IDS
    for (let tries = 0; tries < size; tries++) {
      const id = this.#next
      this.#next = base + ((id - base + 1) % size)
      if (!this.#taken.has(id)) return id
    }
    throw new RangeError(`all ${size} nexthop ids are in use`)
  }

  /** These ids are in use, whoever's they are. */
  take(ids: Iterable<number>): void {
    this.#version++
    for (const id of ids) this.#taken.add(id)
  }

  put(id: number, nexthop: Nexthop): void {
    this.#version++
    this.#ids.set(nexthopKey(nexthop), id)
    this.#byId.set(id, nexthop)
    this.#taken.add(id)
  }

  /** Forgets an id that is gone from the kernel; returns what it was. */
  remove(id: number): Nexthop | undefined {
    this.#version++
    const object = this.#byId.get(id)
    this.#byId.delete(id)
    this.#taken.delete(id)
    if (object === undefined) return undefined
    const key = nexthopKey(object)
    if (this.#ids.get(key) === id) this.#ids.delete(key)
    this.#doubles.delete(object)
    return object
  }
}

/** A NetlinkSocket, as far as the probe goes. */
interface Prober {
  dump(message: Message, parse: () => undefined): unknown
}

/** Whether the kernel has nexthop objects: asked, not guessed by version. */
export function hasNexthops(socket: Prober): boolean {
  try {
    socket.dump(listNexthops(), () => undefined)
    return true
  } catch (error) {
    if (isRefused(error, 'EOPNOTSUPP', 'EINVAL')) return false
    throw error
  }
}
