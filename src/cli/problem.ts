// What is wrong with a command line, in a sentence that tells how it is right. Pure.
import { ArgumentScannerError, formatMessageForArgumentScannerError } from '@stricli/core'
import { OPTIONS } from '../daemon/options/table.ts'

/** A word that no command has, after those of `argv` before it. */
export function commandProblem(
  argv: readonly string[],
  input: string,
  corrections: readonly string[],
): string {
  const what = input.startsWith('-') ? 'flag' : 'command'
  const program = ['heddle', ...argv.slice(0, Math.max(0, argv.indexOf(input)))].join(' ')
  return `there is no ${what} ${input}; ${meant(corrections) ?? `see ${program} --help`}`
}

export function argumentProblem(argv: readonly string[], error: unknown): string {
  if (!(error instanceof ArgumentScannerError)) return error instanceof Error ? error.message : String(error)
  return formatMessageForArgumentScannerError(error, {
    FlagNotFoundError: ({ input, corrections }) =>
      `there is no flag --${input}; ${flanneldsOwn(argv, input) ?? meant(corrections.map((c) => `--${c}`)) ?? 'see --help'}`,
    AliasNotFoundError: ({ input }) => aliasProblem(argv, input),
    ArgumentParseError: ({ externalFlagNameOrPlaceholder: name, input, exception }) =>
      exception instanceof SyntaxError
        ? `--${name} ${input}: want true or false, or --${name} alone`
        : `--${name} ${exception instanceof Error ? exception.message : String(exception)}`,
    UnsatisfiedFlagError: ({ externalFlagName: name }) => withoutValue(name),
    UnexpectedFlagError: ({ externalFlagName: name, previousInput, input }) =>
      `--${name} is given twice, with ${previousInput} and ${input}; want it once`,
    EnumValidationError: ({ externalFlagName: name, input, values }) =>
      `--${name} ${input}: want ${values.join(' or ')}`,
    UnexpectedPositionalError: ({ input }) => {
      const flag = /^--([a-z]+)=$/.exec(input)?.[1]
      return flag === undefined ? `${input} is one word too many; see --help` : withoutValue(flag)
    },
    UnsatisfiedPositionalError: ({ placeholder }) => `${placeholder} is missing; see --help`,
  })
}

const withoutValue = (flag: string): string => `--${flag} has no value; see --help`

const meant = (corrections: readonly string[]): string | undefined =>
  corrections.length > 0 ? `did you mean ${corrections.join(' or ')}?` : undefined

/** Those that hand words on to flanneld's options. */
const TAKERS: ReadonlySet<string> = new Set(['drift', 'explain', 'uninstall', 'config'])

/** Where it is one of flanneld's, where it goes. */
function flanneldsOwn(argv: readonly string[], flag: string): string | undefined {
  if (!TAKERS.has(argv[0] ?? '') || !OPTIONS.some(({ name }) => name === flag)) return undefined
  return `it is flanneld's, and those go behind --: -- --${flag}`
}

/** One dash: a letter, or a flag of a longer name. */
function aliasProblem(argv: readonly string[], letter: string): string {
  const [, name = letter] =
    argv.map((word) => /^-([a-z][\w-]+)/.exec(word)).find((found) => found?.[1]?.startsWith(letter)) ?? []
  if (name !== letter)
    return `there is no flag -${name}; ${flanneldsOwn(argv, name) ?? `did you mean --${name}?`}`
  const isExec = argv[0] === 'lab' && argv[1] === 'exec'
  return `there is no flag -${letter}; see --help${isExec ? ' (a command of its own goes after --)' : ''}`
}
