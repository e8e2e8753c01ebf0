// What the parts of the etcd store share: the way there, the store's history, where keys are, and who is in trouble.
import type { StoreError } from '../store.ts'
import type { Channel } from './channel.ts'
import type { History } from './history.ts'
import { isTemporary } from './error.ts'
import type { Keys } from './keys.ts'
import type { LastLook } from './look.ts'
import { Backoff } from './wait.ts'

/** Told an error when something that must go on can't, `undefined` when it goes on. */
export type Trouble = (error: StoreError | undefined) => void

export interface Client {
  readonly channel: Channel
  readonly history: History
  readonly keys: Keys
  readonly lastLook: LastLook
  /** For one that works on and on, by its name ("leases", "config"). */
  readonly trouble: (who: string) => Trouble
}

/** Tries until it works. What trying again doesn't mend is thrown, and so is the signal's reason. */
export async function persist<T>(
  attempt: () => Promise<T>,
  trouble: Trouble,
  signal: AbortSignal,
  mends: (error: unknown) => error is StoreError = isTemporary,
): Promise<T> {
  const backoff = new Backoff(200, 5_000)
  for (;;) {
    try {
      const result = await attempt()
      trouble(undefined)
      return result
    } catch (error) {
      if (signal.aborted || !mends(error)) {
        trouble(undefined)
        throw signal.aborted ? signal.reason : error
      }
      trouble(error)
    }
    await backoff.pause(signal)
  }
}
