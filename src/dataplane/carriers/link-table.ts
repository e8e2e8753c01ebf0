// Names and indices of all links of the namespace, kept by dumps and notifications. Pure.
import type { LinkInfo } from '../../netlink/link.ts'

export class LinkTable {
  #byIndex = new Map<number, LinkInfo>()
  #byName = new Map<string, LinkInfo>()

  /** Takes a full dump for the truth; returns the names of links that changed in what others depend on. */
  load(links: readonly LinkInfo[]): ReadonlySet<string> {
    const before = this.#byIndex
    this.#byIndex = new Map(links.map((l) => [l.index, l]))
    this.#byName = new Map(links.map((l) => [l.name, l]))
    const changed = new Set<string>()
    for (const link of links) for (const name of affected(before.get(link.index), link)) changed.add(name)
    for (const link of before.values()) if (!this.#byIndex.has(link.index)) changed.add(link.name)
    return changed
  }

  /** A link that is new or changed; returns the names that are affected in what others depend on. */
  put(link: LinkInfo): readonly string[] {
    const before = this.#byIndex.get(link.index)
    this.#forget(before)
    this.#byIndex.set(link.index, link)
    this.#byName.set(link.name, link)
    return affected(before, link)
  }

  remove(index: number): LinkInfo | undefined {
    const link = this.#byIndex.get(index)
    this.#forget(link)
    return link
  }

  #forget(link: LinkInfo | undefined): void {
    if (link === undefined) return
    this.#byIndex.delete(link.index)
    if (this.#byName.get(link.name)?.index === link.index) this.#byName.delete(link.name)
  }

  get(name: string): LinkInfo | undefined {
    return this.#byName.get(name)
  }
  at(index: number | undefined): LinkInfo | undefined {
    return index === undefined ? undefined : this.#byIndex.get(index)
  }
  values(): IterableIterator<LinkInfo> {
    return this.#byIndex.values()
  }
}

/** The kernel drops objects of a link by itself when its state, MAC, index or name changes; of nothing else. */
function affected(before: LinkInfo | undefined, after: LinkInfo): readonly string[] {
  if (before === undefined) return [after.name]
  if (before.name !== after.name) return [before.name, after.name]
  return before.up === after.up && before.mac === after.mac ? [] : [after.name]
}
