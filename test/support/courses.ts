// What courses of wishes and disturbances have in common: the disturbances, and how they must end.
import { expect } from 'bun:test'
import * as fc from 'fast-check'
import type { Reconciler } from '../../src/dataplane/reconciler.ts'
import { soon } from './dataplane.ts'

/** One of the commands, `N` in it being the number of a peer. */
export const disturbance = (commands: readonly string[], number: fc.Arbitrary<number>) =>
  fc.record({
    do: fc.constant('disturb' as const),
    command: fc
      .tuple(fc.constantFrom(...commands), number)
      .map(([command, n]) => command.replaceAll('N', `${n}`)),
  })

export async function endsAsWanted(reconciler: Reconciler): Promise<void> {
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect([...reconciler.failures]).toEqual([])
}

/** On a busy machine fewer runs, and no failure for that. */
export const runs = (numRuns: number) => ({
  numRuns,
  interruptAfterTimeLimit: 15_000,
  markInterruptAsFailure: false,
})
