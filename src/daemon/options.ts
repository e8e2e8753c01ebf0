// flanneld's options from all that gives them: flags, FLANNELD_* environment, conf file (options/table.ts lists them).
import { readConf } from './options/conf/read.ts'
import type { ProposedNetwork } from './options/conf/network.ts'
import { helpText } from './options/help.ts'
import { OptionsError, shown, type Note, type Settings } from './options/option.ts'
import { DEFAULT_CONFIG_FILE } from './options/own.ts'
import { isDefault, resolve } from './options/resolve.ts'
import { fromCommandLine, fromEnvironment } from './options/sources.ts'
import { OPTIONS, optionsFrom, type Options } from './options/table.ts'

export type { Options } from './options/table.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Given {
  readonly kind: 'options'
  readonly options: Options
  /** The same with where each comes from. */
  readonly settings: Settings
  /** The file that was read, if there is one. */
  readonly confFile?: string
  /** What that file says of the network, if anything. */
  readonly network?: ProposedNetwork
  readonly notes: readonly Note[]
}
export type Parsed =
  | Given
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  /** Nothing may be begun. */
  | { readonly kind: 'refused'; readonly reason: string }

/** Options as flanneld with these arguments in this environment has them. */
export async function readOptions(
  args: readonly string[],
  environment: Environment,
  usualFile = DEFAULT_CONFIG_FILE,
): Promise<Parsed> {
  try {
    const flags = fromCommandLine(args)
    if (flags === 'help') return { kind: 'help', text: helpText() }
    if (flags.settings.get('version')?.value === true) return { kind: 'version' }
    const variables = fromEnvironment(environment, flags.settings)
    const named = flags.settings.get('config-file') ?? variables.settings.get('config-file')
    const file = named === undefined ? usualFile : String(named.value)
    const conf = file === '' ? undefined : await readConf(file, named === undefined)
    const sources = [flags, variables, ...(conf === undefined ? [] : [conf])]
    const { settings, notes } = resolve(sources.map((source) => source.settings))
    return {
      kind: 'options',
      options: optionsFrom((option) => settings.get(option.name)?.value ?? option.default),
      settings,
      ...(conf === undefined ? {} : { confFile: file }),
      ...(conf?.network === undefined ? {} : { network: conf.network }),
      notes: [...sources.flatMap((source) => source.notes), ...notes],
    }
  } catch (error) {
    if (error instanceof OptionsError) return { kind: 'refused', reason: error.message }
    throw error
  }
}

/** Options that differ from their defaults, for the log; no secret. */
export const describeOptions = (settings: Settings): string =>
  OPTIONS.flatMap((option) => {
    const setting = settings.get(option.name)
    if (setting === undefined || isDefault(option, setting)) return []
    return `--${option.name}=${shown(option, setting.value)}`
  }).join(' ') || 'all at their defaults'
