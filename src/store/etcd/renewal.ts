// TLS files that are renewed while we run: each change leads to a new connection, which takes over once it works. What
// doesn't work is said once, and tried again; the connection of before serves meanwhile.
import { setTimeout as delay } from 'node:timers/promises'
import { StoreError } from '../store.ts'
import { Backoff } from './wait.ts'

/** For the log. */
export interface Note {
  readonly level: 'info' | 'warning'
  readonly text: string
}

export interface Renewal {
  /** Yields when the files may be others. */
  readonly changes: (signal: AbortSignal) => AsyncIterable<unknown>
  /** Goes over to the files as they are. Throws StoreError if that doesn't work. */
  readonly renew: (signal: AbortSignal) => Promise<'renewed' | 'same' | 'idle'>
  readonly note: (note: Note) => void
  /** Told a StoreError while the files don't work. */
  readonly trouble: (error: StoreError | undefined) => void
}

/** Certificate, key and CA are written one after the other. */
const SETTLE_MS = 200
/** Files that never come to rest are tried all the same. */
const MOST_UNREST = 10
/** A set that doesn't work may do so later: when etcd gets to know its authority, or its time has come. */
const RETRY_MS = 10_000
const RETRY_MAX_MS = 600_000

/** Ends with the signal, or when the files can't be watched. */
export async function keepRenewed(renewal: Renewal, signal: AbortSignal): Promise<void> {
  const { changes, note } = renewal
  const changed = changes(signal)[Symbol.asyncIterator]()
  let next = changed.next()
  /** Whether there is another change before the pause is over. */
  const isDisturbed = (pause: (signal: AbortSignal) => Promise<unknown>) => isFirst(next, pause, signal)
  const settling = (until: AbortSignal) =>
    delay(SETTLE_MS, undefined, { signal: until }).catch(() => undefined)
  try {
    for (;;) {
      let isQuiet = false
      for (let i = 0; i < MOST_UNREST && !isQuiet; i++) {
        await next
        next = changed.next()
        isQuiet = !(await isDisturbed(settling))
      }
      await useChanged(renewal, isDisturbed, signal)
    }
  } catch (error) {
    if (signal.aborted) return
    const why = error instanceof Error ? error.message : String(error)
    note({ level: 'warning', text: `the TLS files for etcd can't be watched (${why}): ${UNWATCHED}` })
  } finally {
    await changed.return?.()
  }
}

const UNWATCHED = 'renewed ones come into use with the next connection, or at SIGHUP'
const RENEWED = 'the TLS files for etcd have changed: a connection with the new ones has taken over'
const KEPT = 'the TLS files for etcd have changed and do not work yet, the connection there is stays'

/** Until they work, or have changed again. */
async function useChanged(
  { renew, note, trouble }: Renewal,
  isDisturbed: (pause: (signal: AbortSignal) => Promise<unknown>) => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff(RETRY_MS, RETRY_MAX_MS)
  let said: string | undefined
  for (;;) {
    try {
      if ((await renew(signal)) === 'renewed') note({ level: 'info', text: RENEWED })
      trouble(undefined)
      return
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      trouble(error)
      if (said !== error.message) note({ level: 'warning', text: `${KEPT}: ${error.message}` })
      said = error.message
    }
    if (await isDisturbed((until) => backoff.pause(until))) return
  }
}

/** Whether the promise settles before that pause is over; the pause is ended then. */
async function isFirst(
  promise: Promise<unknown>,
  pause: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<boolean> {
  const enough = new AbortController()
  const settled = () => true
  const over = () => false
  const first = await Promise.race([
    promise.then(settled, settled),
    pause(AbortSignal.any([signal, enough.signal])).then(over, over),
  ])
  enough.abort()
  signal.throwIfAborted()
  return first
}
