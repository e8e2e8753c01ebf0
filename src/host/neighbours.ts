// How many neighbours a host must have room for. The kernel's limits of 128, 512 and 1,024 are shared by all links and
// namespaces of the host: with a thousand peers, or many pods, it drops packets as "neighbour table overflow". Pure.
import type { Family } from '../model/ip.ts'
import { sysctl, type Sysctl } from '../model/kernel.ts'

/** Of this host's own pods, and of what else is on its links. */
const OTHERS = 256
/** The kernel's defaults, and the proportion between them. */
const DEFAULT_MOST = 1024
/** What the three thresholds are of the greatest: kept below the first, swept from the second on, refused at the third. */
const SHARES = [
  ['gc_thresh1', 8],
  ['gc_thresh2', 2],
  ['gc_thresh3', 1],
] as const
/** What a table may grow to: 400 MB if it were ever full. */
const MOST = 1 << 20

/**
 * Each peer is one on the interface between hosts, and one on the tunnel, which kernels before 5.0 count too. Twice as
 * many as are needed, in powers of two, so that a cluster that grows seldom changes them.
 */
export function neighbourSettings(family: Family, peers: number): Sysctl[] {
  const needed = 2 * (2 * peers + OTHERS)
  const most = Math.min(MOST, Math.max(DEFAULT_MOST, 2 ** Math.ceil(Math.log2(needed))))
  return SHARES.map(([threshold, share]) =>
    sysctl({
      name: `net/${family}/neigh/default/${threshold}`,
      value: most / share,
      fine: 'greater',
      why: `room for the neighbours of ${peers} peers and of pods`,
      undo: 'restore',
    }),
  )
}
