// Pauses between tries: from a tenth of a second, doubled each time, up to half a minute.
import { setTimeout } from 'node:timers/promises'

const FIRST_MS = 100
const LONGEST_MS = 30_000

/** After the `tries`-th try that failed, counted from 1. */
export const pauseMsAfter = (tries: number): number => Math.min(FIRST_MS * 2 ** (tries - 1), LONGEST_MS)

/** Runs `act` until it returns or `signal` aborts. Whenever it throws, it is told and run again after a pause. */
export async function persist(
  act: () => Promise<void>,
  signal: AbortSignal,
  tell: (error: unknown, pauseMs: number) => void,
): Promise<void> {
  for (let tries = 1; !signal.aborted; tries++) {
    const startedMs = performance.now()
    try {
      await act()
      return
    } catch (error) {
      if (signal.aborted) return
      if (performance.now() - startedMs > LONGEST_MS) tries = 1
      tell(error, pauseMsAfter(tries))
    }
    await setTimeout(pauseMsAfter(tries), undefined, { signal }).catch(() => undefined)
  }
}
