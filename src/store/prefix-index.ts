// Prefixes by what overlaps them: an exact lookup for each length in use, so that one among thousands costs little. Pure.
import { baseOf, containsPrefix, familyOfPrefix, lengthOf, prefixOf, type Prefix } from '../model/prefix.ts'

export class PrefixIndex<K> {
  readonly #keys = new Map<Prefix, Set<K>>()
  /** How many different prefixes there are, by `family/length`. */
  readonly #lengths = new Map<string, number>()

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
    for (const kind of this.#lengths.keys()) {
      const [itsFamily, itsLength = ''] = kind.split('/')
      if (itsFamily !== family) continue
      if (Number(itsLength) > length) finer = true
      else for (const key of this.#keys.get(prefixOf(baseOf(prefix), Number(itsLength))) ?? []) found.add(key)
    }
    // Subnets of several lengths are rare: the config has one.
    if (finer)
      for (const [other, keys] of this.#keys)
        if (containsPrefix(prefix, other)) for (const key of keys) found.add(key)
    return found
  }

  #count(prefix: Prefix, by: number): void {
    const kind = `${familyOfPrefix(prefix)}/${lengthOf(prefix)}`
    const count = (this.#lengths.get(kind) ?? 0) + by
    if (count === 0) this.#lengths.delete(kind)
    else this.#lengths.set(kind, count)
  }
}
