// What a change of one kind means for others.
import type { KindName } from '../model/kernel.ts'

/** Whose doing it is that something must be looked at: only what others changed counts as a repair. */
export type Cause = 'ours' | 'theirs'

export interface Ripple {
  /** Kinds of which the kernel may have dropped objects by itself. */
  readonly kinds: Set<KindName>
  /** Links of which that is true whatever the kind. */
  readonly links: Set<string>
  /** Keys that have been put: others may have waited for such a link or nexthop. */
  readonly put: Set<string>
}
export const ripple = (): Ripple => ({ kinds: new Set(), links: new Set(), put: new Set() })
