// The command lines of `heddle store backup` and `heddle store restore`.
import { ServeError } from '../serve-error.ts'
import { DEFAULT_DATA_DIRECTORY, parseFlags } from './flags.ts'

export interface CopyOptions {
  readonly file: string
  readonly dataDirectory: string
}

const HELP = {
  backup: `heddle store backup FILE: copy the store as it is at this moment, on its machine, whether it runs or not

  FILE             a new file, for its owner alone: it holds every key, and the users with their hashed passwords
  --data-dir DIR   where the store is kept (${DEFAULT_DATA_DIRECTORY})
`,
  restore: `heddle store restore FILE: make a store from what heddle store backup wrote, where there is none

  FILE             the backup
  --data-dir DIR   where the store will be kept (${DEFAULT_DATA_DIRECTORY}); a store that is there already stays

The restored store is a new cluster to its clients: hosts keep the peers that it doesn't know yet for 10 minutes, and put
their own leases back by themselves.
`,
} as const

/** Undefined when help was asked for, and printed. Throws ServeError('usage'). */
export function parseCopyCommand(name: keyof typeof HELP, argv: readonly string[]): CopyOptions | undefined {
  const command = `heddle store ${name}`
  const { values, positionals } = parseFlags(command, argv, {
    allowPositionals: true,
    options: {
      'data-dir': { type: 'string', default: DEFAULT_DATA_DIRECTORY },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(HELP[name])
    return undefined
  }
  const [file, ...others] = positionals
  if (file === undefined || file === '' || others.length > 0) {
    throw new ServeError('usage', `it takes one FILE; see ${command} --help`)
  }
  return { file, dataDirectory: values['data-dir'] }
}
