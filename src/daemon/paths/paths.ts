// What of paths' MTUs whoever plans routes needs: to tell which peers there are, and to be told what packets to them may
// have. Without asking there is nothing known; a daemon asks (keeper.ts), a look from outside reads what one has found.
import type { KernelObject, NftTable } from '../../model/kernel.ts'
import type { SubnetKey } from '../../model/lease.ts'
import type { Prefix } from '../../model/prefix.ts'

export interface Paths {
  /** What packets to a peer's subnet may have within our tunnel, where that is less than what the interface leaves. */
  tunnelMtuBytes(subnet: Prefix): number | undefined
  /** What the packet filter is to do for the sake of small paths. */
  tables(): readonly NftTable[]
  /** This host's own devices and their addresses, as they are wanted from now on. */
  own(objects: readonly KernelObject[]): void
  /** What reaches a peer; nothing where it can't be. */
  peer(key: SubnetKey, objects: readonly KernelObject[]): void
}

const NOTHING = {
  tables: () => [],
  own: () => undefined,
  peer: () => undefined,
}

export const NO_PATHS: Paths = { ...NOTHING, tunnelMtuBytes: () => undefined }

/** As found by a daemon that may run or not. */
export const pathsAsKnown = (known: ReadonlyMap<Prefix, number>, tables: readonly NftTable[]): Paths => ({
  ...NOTHING,
  tables: () => tables,
  tunnelMtuBytes: (subnet) => known.get(subnet),
})
