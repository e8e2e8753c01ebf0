// What of paths' MTUs whoever plans routes needs: to tell which peers there are, and to be told what packets to them may
// have. Without asking there is nothing known; a daemon asks (keeper.ts), a look from outside reads what one has found.
import type { KernelObject } from '../../model/kernel.ts'
import type { SubnetKey } from '../../model/lease.ts'
import type { Prefix } from '../../model/prefix.ts'

export interface Paths {
  /** What packets to a peer's subnet may have within our tunnel, where that is less than what the interface leaves. */
  tunnelMtuBytes(subnet: Prefix): number | undefined
  /** This host's own devices and their addresses, as they are wanted from now on. */
  own(objects: readonly KernelObject[]): void
  /** What reaches a peer; nothing where it can't be. */
  peer(key: SubnetKey, objects: readonly KernelObject[]): void
}

const NOTHING = {
  own: () => undefined,
  peer: () => undefined,
}

export const NO_PATHS: Paths = { ...NOTHING, tunnelMtuBytes: () => undefined }

/** As found by a daemon that may run or not. */
export const pathsAsKnown = (known: ReadonlyMap<Prefix, number>): Paths => ({
  ...NOTHING,
  tunnelMtuBytes: (subnet) => known.get(subnet),
})
