// How long a peer that the store has no more is kept: its host may live, and put its lease again.

/** In milliseconds. */
export interface Graces {
  /** Deleted before our eyes: of a revoked lease, its host hears when we do. */
  readonly deletedMs: number
  /** Gone when we came back to the store: run out, maybe, because their hosts couldn't reach it either. */
  readonly missedMs: number
  /** Of a store that was wiped or replaced; counted from when it has a config. */
  readonly resetMs: number
}
/** All of them bounded by that for a store that was wiped or replaced. */
export const gracesOf = (resetMs: number): Graces => ({
  deletedMs: Math.min(1_000, resetMs),
  missedMs: Math.min(15_000, resetMs),
  resetMs,
})
