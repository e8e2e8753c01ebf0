// A kind is what `ip` or `nft` has a word for: how to name, compare and own one sort of kernel object. Pure.
import type { Prefix } from '../model/prefix.ts'

/** What is ours in the kernel, by marks that outlive the daemon. */
export interface Ownership {
  /** Names of the links we make (`flannel.1`). */
  readonly links: ReadonlySet<string>
  /** Cluster networks; routes of ours lie inside them. */
  readonly networks: readonly Prefix[]
  /** nf_tables tables by `family name`. */
  readonly tables: ReadonlySet<string>
}

export interface Kind<T> {
  readonly name: string
  /** Kinds that must be put before this one; removal runs it backwards. */
  readonly after: readonly string[]
  /** What a person would name: a nexthop is `family|via|link`, never its id. */
  key(object: T): string
  /** Same content, as the kernel reports it back. */
  same(want: T, have: T): boolean
  /** `adopt`: ours only if equal to a wanted one; else listed by drift and left alone. */
  ours(have: T, scope: Ownership): 'ours' | 'adopt' | 'foreign'
  /** What the kernel drops by itself with this put. */
  disturbs(want: T, have: T | undefined): 'nothing' | 'neighbours' | 'all'
}
