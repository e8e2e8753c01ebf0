// Names and indices of all links of the namespace, kept by dumps and notifications. Links that are followed keep the
// name they were first known by, as long as no other one has it: renaming them changes nothing. Pure.
import type { LinkInfo } from '../../netlink/link.ts'

export class LinkTable {
  #byIndex = new Map<number, LinkInfo>()
  #byName = new Map<string, LinkInfo>()
  /** The link that each followed name stands for: of that name, or that had it before it was renamed. */
  readonly #followed = new Map<string, number | undefined>()
  /** Of followed links that have another name now, one that is not followed. */
  #aliases = new Map<number, string>()

  /** Takes a full dump for the truth; returns the names of links that changed in what others depend on. */
  load(links: readonly LinkInfo[]): ReadonlySet<string> {
    const before = this.#byIndex
    const named = (index: number) => this.nameOf(index)
    const was = new Map([...before.keys()].map((index) => [index, named(index)]))
    this.#byIndex = new Map(links.map((l) => [l.index, l]))
    this.#byName = new Map(links.map((l) => [l.name, l]))
    this.#follow()
    const changed = new Set<string>()
    const note = (name: string | undefined) => name !== undefined && changed.add(name)
    for (const link of links) {
      const then = before.get(link.index)
      if (then !== undefined && !isAffected(then, link)) continue
      note(was.get(link.index))
      note(named(link.index))
    }
    for (const index of before.keys()) if (!this.#byIndex.has(index)) note(was.get(index))
    return changed
  }

  /** A link that is new or changed; returns the names that are affected in what others depend on. */
  put(link: LinkInfo): readonly string[] {
    const before = this.#byIndex.get(link.index)
    const was = this.nameOf(link.index)
    this.#forget(before)
    this.#byIndex.set(link.index, link)
    this.#byName.set(link.name, link)
    if (before?.name !== link.name) this.#follow()
    if (before !== undefined && !isAffected(before, link)) return []
    return [...new Set([was, this.nameOf(link.index)])].filter((name) => name !== undefined)
  }

  /** Forgets a link; returns what it was known by. */
  remove(index: number): string | undefined {
    const name = this.nameOf(index)
    this.#forget(this.#byIndex.get(index))
    this.#follow()
    return name
  }

  #forget(link: LinkInfo | undefined): void {
    if (link === undefined) return
    this.#byIndex.delete(link.index)
    if (this.#byName.get(link.name)?.index === link.index) this.#byName.delete(link.name)
  }

  /** From now on the name stands for the link that has it now, or gets it next, whatever that is called later. */
  follow(name: string): void {
    if (this.#followed.has(name)) return
    this.#followed.set(name, undefined)
    this.#follow()
  }

  #follow(): void {
    this.#aliases = new Map()
    for (const [name, before] of this.#followed) {
      const index = this.#byName.get(name)?.index ?? (this.#byIndex.has(before ?? 0) ? before : undefined)
      this.#followed.set(name, index)
      const link = index === undefined ? undefined : this.#byIndex.get(index)
      if (link !== undefined && !this.#followed.has(link.name)) this.#aliases.set(link.index, name)
    }
  }

  /** The link that has this very name. */
  get(name: string): LinkInfo | undefined {
    return this.#byName.get(name)
  }
  /** The index of the link that the name stands for. */
  indexOf(name: string): number | undefined {
    return this.#byName.get(name)?.index ?? this.#followed.get(name)
  }
  /** What a link is known by: its name, or that by which it was followed. */
  nameOf(index: number | undefined): string | undefined {
    return index === undefined ? undefined : (this.#aliases.get(index) ?? this.#byIndex.get(index)?.name)
  }
  values(): IterableIterator<LinkInfo> {
    return this.#byIndex.values()
  }
}

/** The kernel drops objects of a link by itself when its state, MAC, index, name or master changes; of nothing else. */
const isAffected = (before: LinkInfo, after: LinkInfo): boolean =>
  before.name !== after.name ||
  before.up !== after.up ||
  before.mac !== after.mac ||
  before.master !== after.master
