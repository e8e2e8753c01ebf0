// A kind is what `ip` or `nft` has a word for: how to name, compare and own one sort of kernel object. Pure.
import type { KindName } from '../model/kernel.ts'
import type { Prefix } from '../model/prefix.ts'

/** What is ours in the kernel, by marks that outlive the daemon. */
export interface Ownership {
  /** Names of the links we make (`flannel.1`). */
  readonly links: ReadonlySet<string>
  /** Cluster networks; routes of ours lie inside them. */
  readonly networks: readonly Prefix[]
  /** nf_tables tables by `family name`, e.g. `ipv4 flannel-ipv4`. */
  readonly tables: ReadonlySet<string>
  /** Chains of iptables by `flavour family table name`, e.g. `legacy ipv4 nat FLANNEL-POSTRTG`; none unless given. */
  readonly chains?: ReadonlySet<string>
}

export interface Kind<T> {
  readonly name: KindName
  /** Kinds that must be put before this one; removal runs it backwards. */
  readonly after: readonly KindName[]
  /** What a person would name: a nexthop is `family|via|link`, never its id. */
  key(object: T): string
  /** The link it lives on, or goes away with. */
  on(object: T): string | undefined
  /** Same content and our mark, as the kernel reports it back. */
  same(want: T, have: T): boolean
  /** `adopt`: ours only if `adopts` a wanted one; else listed by drift and left alone. */
  ours(have: T, scope: Ownership): 'ours' | 'adopt' | 'foreign'
  /** Same content without our mark: putting it takes it over. */
  adopts(want: T, have: T): boolean
  /** Kinds of which the kernel drops objects by itself, often without a word, when `before` becomes `after`. */
  disturbs(before: T | undefined, after: T | undefined): readonly KindName[]
}
