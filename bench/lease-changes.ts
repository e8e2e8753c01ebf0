// Runs lease-writer.ts, as many hosts that change their leases.
import { Running } from '../test/support/process.ts'
import type { SideBySide } from './side-by-side.ts'

export interface LeaseChanges {
  readonly changes: number
  readonly aSecond: number
}

/** Its lines tell what it has sent; `done` is the last. */
export const leaseWriter = (
  { segment, store, peers }: SideBySide,
  { changes, aSecond }: LeaseChanges,
): Running =>
  Running.start(
    process.execPath,
    [`${import.meta.dirname}/lease-writer.ts`, store.endpoint, `${peers.length}`, `${changes}`, `${aSecond}`],
    { namespace: segment.switch.namespace },
  )

/** Ends once the store has taken all changes. */
export async function changeLeases(sides: SideBySide, changes: LeaseChanges): Promise<void> {
  await using writer = leaseWriter(sides, changes)
  await writer.line(/^done$/, { withinSeconds: (changes.changes / changes.aSecond) * 4 })
}
