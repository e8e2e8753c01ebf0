// Puts the options of the log in force: verbosity, form, and the files of --log-dir beside stderr.
import { log } from '../sys/log.ts'
import { writeStderr } from '../sys/log-stderr.ts'
import type { Options } from './options.ts'

const logger = log.from('log-options.ts')

/** Options that take effect without a restart. */
export const LOG_OPTIONS: readonly (keyof Options)[] = ['v', 'log-format', 'log-dir']

/** The files in use, if any. */
let files: ({ readonly directory: string; readonly write: (line: string) => void } & Disposable) | undefined

export async function configureLog(options: Options): Promise<void> {
  const { v: verbosity, 'log-format': format, 'log-dir': directory } = options
  if (directory !== (files?.directory ?? '')) {
    files?.[Symbol.dispose]()
    files = directory === '' ? undefined : await openFiles(directory)
  }
  const write = files?.write
  log.configure({
    verbosity,
    format: format === 'json' ? 'json' : 'text',
    // Whatever becomes of the files, the log is on stderr.
    write:
      write === undefined
        ? writeStderr
        : (line) => {
            writeStderr(line)
            write(line)
          },
  })
}

async function openFiles(directory: string): Promise<NonNullable<typeof files>> {
  // Only who asks for files loads them.
  const { LogFile } = await import('../sys/log-file.ts')
  const about = 'log file'
  const file: InstanceType<typeof LogFile> = new LogFile(directory, 'flanneld', {
    onTrouble: (reason) =>
      logger.error(
        `the log file ${file.path} can't be written: ${reason}; the log goes on on stderr alone, trying again`,
        {
          about,
        },
      ),
    onRelief: (missed) =>
      logger.warning(
        `the log file ${file.path} is written again; ${missed} lines before this one are on stderr only`,
        {
          about,
        },
      ),
  })
  return { directory, write: (line) => file.write(line), [Symbol.dispose]: () => file[Symbol.dispose]() }
}
