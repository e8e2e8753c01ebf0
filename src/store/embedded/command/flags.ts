// Flags of the store's commands, read by node:util and refused in our words.
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { ServeError } from '../serve-error.ts'

export const DEFAULT_DATA_DIRECTORY = '/var/lib/heddle/store'

/** Throws ServeError('usage'); `command` is whose --help tells more. */
export function parseFlags<const Config extends Omit<ParseArgsConfig, 'args'>>(
  command: string,
  argv: readonly string[],
  config: Config,
) {
  try {
    return parseArgs<Config & { args: string[] }>({ ...config, args: [...argv] })
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new ServeError('usage', `${problemOf(text)}; see ${command} --help`, { cause: error })
  }
}

/** The first of parseArgs' sentences, in our style; the others are for programmers. */
function problemOf(text: string): string {
  const [first = ''] = text.split(/\.\s/u)
  return (first.charAt(0).toLowerCase() + first.slice(1)).replace(/'(?<word>.*)'/u, '$<word>')
}
