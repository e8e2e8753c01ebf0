// flanneld from its command line to its exit code: 0 after a signal, --help or --version; 1 where it can't go on; 2 for
// options it doesn't understand.
import { writeSync } from 'node:fs'
import { VERSION } from '../model/version.ts'
import { log } from '../sys/log.ts'
import { describeOptions, readOptions } from './options.ts'

const logger = log.from('main.ts')

/** A stop that takes longer than this is cut short: nothing may keep the process, whatever hangs. */
const STOP_MS = 1500

export async function flanneldMain(args: readonly string[]): Promise<number> {
  const parsed = await readOptions(args, process.env)
  switch (parsed.kind) {
    case 'help':
      writeSync(2, parsed.text)
      return 0
    case 'version':
      writeSync(2, `heddle ${VERSION}, in place of flannel v0.28\n`)
      return 0
    case 'refused':
      writeSync(2, `flanneld: ${parsed.reason}\n`)
      return 2
    case 'options':
      break
  }
  const { options, settings, confFile, notes } = parsed
  log.configure({ verbosity: options.v })
  for (const note of notes) logger[note.level](note.text)
  const stop = stopOnSignal()
  const from = confFile === undefined ? '' : ` (with those of ${confFile})`
  logger.info(`heddle ${VERSION}, options: ${describeOptions(settings)}${from}`)
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
