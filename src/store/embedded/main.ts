// `heddle store`: one process that serves etcd's v3 gRPC API from a SQLite file, and copies of that file.
import { log } from '../../sys/log.ts'
import { parseCopyCommand } from './command/copy-command.ts'
import { parseStoreOptions, STORE_HELP } from './command/options.ts'
import { sqliteCode } from './file/sqlite.ts'
import { ServeError } from './serve-error.ts'

const logger = log.from('store.ts')

/** The exit code: 2 for a wrong command line, 1 for what else prevents what was asked for. */
export async function storeMain(argv: string[]): Promise<number> {
  const [name, ...rest] = argv
  const copies = name === 'backup' || name === 'restore'
  const say = (text: string): void =>
    void process.stderr.write(`heddle store${copies ? ` ${name}` : ''}: ${text}\n`)
  // The log is for who reads what a service said; a person at a terminal gets the sentence alone.
  const tell = copies
    ? (text: string) => void process.stderr.write(`heddle store ${name}: ${text}\n`)
    : logger.error
  try {
    return await (copies ? runCopy(name, rest) : runServe(argv))
  } catch (error) {
    if (sqliteCode(error) !== undefined) {
      const text = error instanceof Error ? error.message : String(error)
      tell(`can't begin to write the database: ${text}; check the disk and the file's permissions`)
      return 1
    }
    if (!(error instanceof ServeError)) throw error
    if (error.code === 'usage') {
      say(error.message)
      return 2
    }
    tell(error.message)
    return 1
  }
}

async function runServe(argv: readonly string[]): Promise<number> {
  const options = parseStoreOptions(argv)
  if (options === undefined) {
    process.stdout.write(STORE_HELP)
    return 0
  }
  const { serve } = await import('./command/serve.ts')
  return serve(options)
}

async function runCopy(name: 'backup' | 'restore', argv: readonly string[]): Promise<number> {
  const options = parseCopyCommand(name, argv)
  if (options === undefined) return 0
  const { file, dataDirectory } = options
  const done =
    name === 'backup'
      ? await (await import('./command/backup.ts')).backUp(file, dataDirectory)
      : (await import('./command/restore.ts')).restore(file, dataDirectory)
  process.stdout.write(`${done}\n`)
  return 0
}
