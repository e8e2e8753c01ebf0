// Prefixes by what overlaps them: an exact lookup for each length in use, so that one among thousands costs little. Pure.
import type { Family } from '../model/ip.ts'
import { baseOf, containsPrefix, familyOfPrefix, lengthOf, prefixOf, type Prefix } from '../model/prefix.ts'

export class PrefixIndex<K> {
  readonly #keys = new Map<Prefix, Set<K>>()
  /** How many different prefixes there are of each length. */
  readonly #lengths: Readonly<Record<Family, Map<number, number>>> = { ipv4: new Map(), ipv6: new Map() }

  add(prefix: Prefix, key: K): void {
    const keys = this.#keys.get(prefix)
    if (keys) keys.add(key)
    else {
      this.#keys.set(prefix, new Set([key]))
      this.#count(prefix, 1)
    }
  }

  remove(prefix: Prefix, key: K): void {
    const keys = this.#keys.get(prefix)
    if (!keys?.delete(key) || keys.size > 0) return
    this.#keys.delete(prefix)
    this.#count(prefix, -1)
  }

  /** The keys of all prefixes that share an address with `prefix`. */
  overlapping(prefix: Prefix): Set<K> {
    const found = new Set<K>()
    const [family, length] = [familyOfPrefix(prefix), lengthOf(prefix)]
    let finer = false
    for (const itsLength of this.#lengths[family].keys()) {
      if (itsLength > length) finer = true
      else {
        // As a rule there is one length: nothing to compute.
        const itself = itsLength === length ? prefix : prefixOf(baseOf(prefix), itsLength)
        for (const key of this.#keys.get(itself) ?? []) found.add(key)
      }
    }
    // Subnets of several lengths are rare: the config has one.
    if (finer)
      for (const [other, keys] of this.#keys)
        if (containsPrefix(prefix, other)) for (const key of keys) found.add(key)
    return found
  }

  #count(prefix: Prefix, by: number): void {
    const lengths = this.#lengths[familyOfPrefix(prefix)]
    const length = lengthOf(prefix)
    const count = (lengths.get(length) ?? 0) + by
    if (count === 0) lengths.delete(length)
    else lengths.set(length, count)
  }
}
