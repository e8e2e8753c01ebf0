// flanneld from its command line to its exit code (docs/running.md): 0 after a signal, --help or --version; 1 where it
// can't go on; 2 for options it doesn't understand. --cleanup has its own (uninstall/main.ts).
import { writeSync } from 'node:fs'
import { VERSION } from '../model/version.ts'
import { log } from '../sys/log.ts'
import { tlsFilesOf } from './etcd-access.ts'
import { configureLog } from './log-options.ts'
import { describeOptions, readOptions, type Given } from './options.ts'
import { Reload } from './reload.ts'
import { rereadCertificates } from './reread-certificates.ts'
import { OptionsReread } from './reread-options.ts'
import { handleSignals } from './signals.ts'
import { Status } from './status.ts'

const logger = log.from('main.ts')

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
  const { cleanup, 'dry-run': isDryRun, force: isForced } = parsed.options
  if (cleanup) return await cleanUp(args, { isDryRun, isForced })
  if (isDryRun || isForced) {
    writeSync(2, 'flanneld: --dry-run and --force go together with --cleanup\n')
    return 2
  }
  return await run(parsed, args)
}

async function cleanUp(
  args: readonly string[],
  how: { readonly isDryRun: boolean; readonly isForced: boolean },
): Promise<number> {
  const { uninstallMain } = await import('./uninstall/main.ts')
  return await uninstallMain(args, how, {
    out: (text) => writeSync(1, text),
    err: (text) => writeSync(2, `flanneld: ${text}`),
  })
}

async function run(given: Given, args: readonly string[]): Promise<number> {
  const { options, settings, confFile, notes } = given
  await configureLog(options)
  process.on('uncaughtException', fault).on('unhandledRejection', fault)
  for (const note of notes) logger[note.level](note.text)
  const reload = new Reload()
  const rereading = new OptionsReread(args, process.env, given)
  reload.add('options', () => rereading.run())
  using status = new Status(options)
  if (tlsFilesOf(options).length > 0) reload.add('certificates', () => rereadCertificates(status.report))
  const stop = handleSignals({
    onStop: (signal) => status.stopping(`${signal}: shutting down`),
    onReload: () => void reloaded(reload, status),
  })
  const from = confFile === undefined ? '' : ` (with those of ${confFile})`
  logger.info(`heddle ${VERSION}, options: ${describeOptions(settings)}${from}`)
  try {
    const { runDaemon } = await import('./daemon.ts')
    await runDaemon(options, status.report, stop, given.network)
    log[Symbol.dispose]()
    logger.info('Exiting cleanly...')
    return 0
  } catch (error) {
    log[Symbol.dispose]()
    if (stop.aborted) return 0
    const reason = error instanceof Error ? error.message : String(error)
    logger.error(reason)
    status.stopping(reason)
    return 1
  }
}

async function reloaded(reload: Reload, status: Status): Promise<void> {
  status.reloading()
  await reload.run()
  status.reloaded()
}

/** A fault of heddle's own: the state of the process is unknown, that of the kernel is as it was. */
function fault(error: unknown): void {
  log[Symbol.dispose]()
  logger.error(`a fault in heddle, please report it: ${error instanceof Error ? error.stack : String(error)}`)
  process.exit(1)
}
