// flanneld from its command line to its exit code: 0 after a signal, --help or --version; 1 where it can't go on; 2 for
// options it doesn't understand.
import { writeSync } from 'node:fs'
import { VERSION } from '../model/version.ts'
import { log } from '../sys/log.ts'
import { describeOptions, helpText, parseOptions } from './options.ts'

const logger = log.from('main.ts')

/** A stop that takes longer than this is cut short: nothing may keep the process, whatever hangs. */
const STOP_MS = 1500

export async function flanneldMain(args: readonly string[]): Promise<number> {
  const parsed = parseOptions(args, process.env)
  switch (parsed.kind) {
    case 'help':
      writeSync(2, helpText())
      return 0
    case 'refused':
      writeSync(2, `flanneld: ${parsed.reason}\n`)
      return 2
    case 'options':
      break
  }
  const { options, notes } = parsed
  if (options.version) {
    writeSync(2, `heddle ${VERSION}, in place of flannel v0.28\n`)
    return 0
  }
  log.configure({ verbosity: options.v })
  for (const note of notes) logger.error(note)
  const stop = stopOnSignal()
  logger.info(`heddle ${VERSION}, options: ${describeOptions(options)}`)
  try {
    const { runDaemon } = await import('./daemon.ts')
    await runDaemon(options, stop)
    log[Symbol.dispose]()
    logger.info('Exiting cleanly...')
    return 0
  } catch (error) {
    log[Symbol.dispose]()
    if (stop.aborted) return 0
    logger.error(error instanceof Error ? error.message : String(error))
    return 1
  }
}

/** The first SIGINT or SIGTERM ends the wait; the kernel keeps all that was programmed. */
function stopOnSignal(): AbortSignal {
  const stop = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(1)
    logger.info(`${signal}: shutting down; the data plane stays as it is`)
    setTimeout(() => process.exit(0), STOP_MS).unref()
    stop.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return stop.signal
}
