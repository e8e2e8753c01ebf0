// Prefixes by what overlaps them: an exact lookup for each length in use, and a stretch of a sorted list for what lies
// inside, so that one among thousands costs little. Pure.
import { ipToValue, ipv4ToNumber, isIPv4, type Family } from '../model/ip.ts'
import { baseOf, containsPrefix, familyOfPrefix, lengthOf, prefixOf, type Prefix } from '../model/prefix.ts'

interface Placed {
  /** Its base as a number. */
  readonly at: number | bigint
  readonly prefix: Prefix
}

export class PrefixIndex<K> {
  /** As a rule one of each. */
  readonly #keys = new Map<Prefix, K[]>()
  /** How many different prefixes there are of each length. */
  readonly #lengths: Readonly<Record<Family, Map<number, number>>> = { ipv4: new Map(), ipv6: new Map() }
  /** By base. Kept from the first question that needs it: as a rule all prefixes have one length, and none does. */
  readonly #sorted: Record<Family, Placed[] | undefined> = { ipv4: undefined, ipv6: undefined }

  add(prefix: Prefix, key: K): void {
    const keys = this.#keys.get(prefix)
    if (keys !== undefined) {
      if (!keys.includes(key)) keys.push(key)
      return
    }
    this.#keys.set(prefix, [key])
    this.#count(prefix, 1)
    const sorted = this.#sorted[familyOfPrefix(prefix)]
    if (sorted === undefined) return
    const at = positionOf(prefix)
    sorted.splice(firstFrom(sorted, at), 0, { at, prefix })
  }

  remove(prefix: Prefix, key: K): void {
    const keys = this.#keys.get(prefix)
    const index = keys?.indexOf(key) ?? -1
    if (keys === undefined || index < 0) return
    keys.splice(index, 1)
    if (keys.length > 0) return
    this.#keys.delete(prefix)
    this.#count(prefix, -1)
    const sorted = this.#sorted[familyOfPrefix(prefix)]
    if (sorted === undefined) return
    let place = firstFrom(sorted, positionOf(prefix))
    while (sorted[place]?.prefix !== prefix) place++
    sorted.splice(place, 1)
  }

  /** The keys of all prefixes that share an address with `prefix`. */
  overlapping(prefix: Prefix): readonly K[] {
    if (this.#keys.size === 0) return NONE
    let found: K[] | undefined
    const [family, length] = [familyOfPrefix(prefix), lengthOf(prefix)]
    let finer = false
    for (const itsLength of this.#lengths[family].keys()) {
      if (itsLength > length) finer = true
      else {
        // As a rule there is one length: nothing to compute.
        const itself = itsLength === length ? prefix : prefixOf(baseOf(prefix), itsLength)
        const keys = this.#keys.get(itself)
        if (keys !== undefined) (found ??= []).push(...keys)
      }
    }
    if (finer)
      for (const inner of this.#inside(prefix, family)) (found ??= []).push(...(this.#keys.get(inner) ?? []))
    return found ?? NONE
  }

  /** The prefixes that lie in it, itself left out. */
  *#inside(prefix: Prefix, family: Family): Generator<Prefix> {
    const sorted = (this.#sorted[family] ??= [...this.#keys.keys()]
      .filter((each) => familyOfPrefix(each) === family)
      .map((each): Placed => ({ at: positionOf(each), prefix: each }))
      .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)))
    const start = positionOf(prefix)
    for (let index = firstFrom(sorted, start); ; index++) {
      const placed = sorted[index]
      if (placed === undefined) return
      if (placed.prefix !== prefix && containsPrefix(prefix, placed.prefix)) yield placed.prefix
      else if (placed.at !== start) return
    }
  }

  #count(prefix: Prefix, by: number): void {
    const lengths = this.#lengths[familyOfPrefix(prefix)]
    const length = lengthOf(prefix)
    const count = (lengths.get(length) ?? 0) + by
    if (count === 0) lengths.delete(length)
    else lengths.set(length, count)
  }
}

const NONE: readonly never[] = []

function positionOf(prefix: Prefix): number | bigint {
  const base = baseOf(prefix)
  return isIPv4(base) ? ipv4ToNumber(base) : ipToValue(base)
}

/** Index of the first that stands at `at` or after it. */
function firstFrom(sorted: readonly Placed[], at: number | bigint): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const placed = sorted[middle]
    if (placed !== undefined && placed.at < at) low = middle + 1
    else high = middle
  }
  return low
}
