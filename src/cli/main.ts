// `heddle`: what people type. Commands are one file each, loaded when asked for. Exit codes: 0 done, 1 failed, 2 not
// understood.
import {
  ArgumentScannerError,
  buildApplication,
  buildRouteMap,
  ExitCode,
  formatMessageForArgumentScannerError,
  run,
  text_en,
} from '@stricli/core'
import { VERSION } from '../model/version.ts'
import { configRoutes } from './config/routes.ts'
import { context } from './context.ts'
import { driftCommand } from './drift.ts'
import { explainCommand } from './explain.ts'
import { labRoutes } from './lab/routes.ts'
import { storeCommand } from './store.ts'
import { uninstallCommand } from './uninstall.ts'

const ROOT = buildRouteMap({
  routes: {
    lab: labRoutes,
    drift: driftCommand,
    explain: explainCommand,
    config: configRoutes,
    store: storeCommand,
    uninstall: uninstallCommand,
  },
  docs: { brief: 'A flat container network for Linux hosts' },
})

const APPLICATION = buildApplication(ROOT, {
  name: 'heddle',
  versionInfo: { currentVersion: VERSION },
  scanner: {
    caseStyle: 'original',
    allowArgumentEscapeSequence: true,
    // A letter or two from what was meant; further off, a guess is noise.
    distanceOptions: {
      threshold: 3,
      weights: { insertion: 1, deletion: 3, substitution: 2, transposition: 0 },
    },
  },
  localization: {
    text: {
      ...text_en,
      noCommandRegisteredForInput: ({ input, corrections }) =>
        `heddle: there is no command ${input}; ${corrections.length > 0 ? `did you mean ${corrections.join(' or ')}?` : 'see heddle --help'}`,
      exceptionWhileParsingArguments: (error) => `heddle: ${argumentProblem(error)}`,
    },
  },
})

const withoutValue = (flag: string): string => `--${flag} has no value; see --help`

function argumentProblem(error: unknown): string {
  if (!(error instanceof ArgumentScannerError)) return error instanceof Error ? error.message : String(error)
  const sentence = formatMessageForArgumentScannerError(error, {
    FlagNotFoundError: ({ input, corrections }) =>
      `there is no flag --${input}; ${corrections.length > 0 ? `did you mean ${corrections.map((c) => `--${c}`).join(' or ')}?` : 'see --help'}`,
    AliasNotFoundError: ({ input }) =>
      `there is no flag -${input}; see --help (a command of its own goes after --)`,
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
  return sentence
}

/** `help lab up` is `lab up --help`, and `version` is `--version`, as with other programs. */
function inFlags([first, ...rest]: readonly string[]): readonly string[] {
  if (first === 'help') return [...rest, '--help']
  return first === 'version' && rest.length === 0
    ? ['--version']
    : first === undefined
      ? []
      : [first, ...rest]
}

export async function heddleMain(words: readonly string[]): Promise<number> {
  const argv = inFlags(words)
  // The store reads its own command line.
  if (argv[0] === 'store') return (await import('../store/embedded/main.ts')).storeMain(argv.slice(1))
  const here = context()
  await run(APPLICATION, argv, here)
  await here.flushed()
  const code = Number(here.process.exitCode ?? 0)
  if (code >= 0) return code
  return code === ExitCode.UnknownCommand || code === ExitCode.InvalidArgument ? 2 : 1
}
