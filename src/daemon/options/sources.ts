// Options from the command line and from the environment (flannel-compat 1.1, 1.2). Pure.
import { parseGoFlags, type GivenFlag } from './go-flags.ts'
import { invalid, parseFlagValue, type FlagValue } from './go-values.ts'
import {
  environmentName,
  OptionsError,
  type Note,
  type Origin,
  type Setting,
  type Settings,
} from './option.ts'
import { OPTIONS } from './table.ts'

export interface Source {
  readonly settings: Settings
  readonly notes: readonly Note[]
}

/** The last of a flag given twice counts; repeatable ones collect. */
export function collect(given: readonly GivenFlag[], originOf: (flag: GivenFlag) => Origin): Settings {
  const settings = new Map<string, Setting>()
  for (const flag of given) {
    const before = settings.get(flag.name)?.value
    const value: FlagValue =
      typeof before === 'object' && typeof flag.value === 'object' ? [...before, ...flag.value] : flag.value
    settings.set(flag.name, { value, origin: originOf(flag) })
  }
  return settings
}

/** `help` where it is asked for. Throws OptionsError. */
export function fromCommandLine(args: readonly string[]): Source | 'help' {
  const line = parseGoFlags(OPTIONS, args)
  if (line.kind === 'help') return 'help'
  if (line.kind === 'mistake') throw new OptionsError(line.reason)
  const settings = collect(line.given, ({ name }) => ({ kind: 'flag', name: `--${name}` }))
  return { settings, notes: unreadNote(args, line.unread) }
}

/** Words are not repeated: one of them may be a secret that has lost its flag. */
function unreadNote(args: readonly string[], unread: number): Note[] {
  if (unread >= args.length) return []
  const names = args.slice(unread).flatMap((word) => /^--?([a-z][\w-]*)/.exec(word)?.[1] ?? [])
  const known = names.filter((name) => OPTIONS.some((option) => option.name === name))
  const lost = known.length === 0 ? '' : ` (${known.map((name) => `--${name}`).join(', ')} among it)`
  const text = `word ${unread + 1} of the command line is no flag: it and all behind it is not read${lost}; a boolean flag takes a value only with =`
  return [{ level: 'error', text }]
}

/**
 * What the environment adds to the command line. A value that can't be read is told and left out, as upstream has it; an
 * empty one counts as none.
 */
export function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  commandLine: Settings,
): Source {
  const settings = new Map<string, Setting>()
  const notes: Note[] = []
  for (const option of OPTIONS) {
    if (option.only === 'flag' || commandLine.has(option.name)) continue
    const name = environmentName(option.name)
    const text = environment[name] ?? ''
    if (text === '') continue
    const value = parseFlagValue(option, text)
    if (value !== undefined) settings.set(option.name, { value, origin: { kind: 'environment', name } })
    else notes.push({ level: 'error', text: `${name}: ${invalid(option, text)}; it is left out` })
  }
  return { settings, notes }
}
