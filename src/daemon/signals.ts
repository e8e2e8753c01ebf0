// Signals: the first SIGINT or SIGTERM ends the daemon within two seconds whatever hangs, another one at once; SIGHUP
// asks for what can be read again.
import { log } from '../sys/log.ts'

const logger = log.from('signals.ts')

/** A stop that takes longer than this is cut short: nothing may keep the process. */
const STOP_MS = 1500

export interface SignalHandlers {
  /** Told before anything is stopped. */
  readonly onStop: (signal: NodeJS.Signals) => void
  readonly onReload: () => void
}

/** Aborted by the first SIGINT or SIGTERM; the kernel keeps all that was programmed. */
export function handleSignals({ onStop, onReload }: SignalHandlers): AbortSignal {
  const stop = new AbortController()
  const end = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) {
      // As upstream has it: nobody listens any more, and it does what it does by default.
      process.removeListener('SIGINT', end).removeListener('SIGTERM', end)
      process.kill(process.pid, signal)
      return
    }
    logger.info(`${signal}: shutting down; the data plane stays as it is`)
    setTimeout(() => process.exit(0), STOP_MS).unref()
    onStop(signal)
    stop.abort()
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  process.on('SIGHUP', () => {
    if (!stop.signal.aborted) onReload()
  })
  return stop.signal
}
