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
import { context } from './context.ts'
import { labRoutes } from './lab/routes.ts'
import { storeCommand } from './store.ts'

const ROOT = buildRouteMap({
  routes: { lab: labRoutes, store: storeCommand },
  docs: { brief: 'A flat container network for Linux hosts' },
})

const APPLICATION = buildApplication(ROOT, {
  name: 'heddle',
  versionInfo: { currentVersion: VERSION },
  scanner: { caseStyle: 'original', allowArgumentEscapeSequence: true },
  localization: {
    text: {
      ...text_en,
      noCommandRegisteredForInput: ({ input, corrections }) =>
        `heddle: there is no command ${input}; ${corrections.length > 0 ? `did you mean ${corrections.join(' or ')}?` : 'see heddle --help'}`,
      exceptionWhileParsingArguments: (error) => `heddle: ${argumentProblem(error)}`,
    },
  },
})

function argumentProblem(error: unknown): string {
  if (!(error instanceof ArgumentScannerError)) return error instanceof Error ? error.message : String(error)
  const sentence = formatMessageForArgumentScannerError(error, {
    FlagNotFoundError: ({ input, corrections }) =>
      `there is no flag --${input}; ${corrections.length > 0 ? `did you mean ${corrections.map((c) => `--${c}`).join(' or ')}?` : 'see --help'}`,
    AliasNotFoundError: ({ input }) =>
      `there is no flag -${input}; see --help (a command of its own goes after --)`,
    ArgumentParseError: ({ externalFlagNameOrPlaceholder: name, exception }) =>
      `--${name} ${exception instanceof Error ? exception.message : String(exception)}`,
    EnumValidationError: ({ externalFlagName: name, input, values }) =>
      `--${name} ${input}: want ${values.join(' or ')}`,
    UnexpectedPositionalError: ({ input }) => `${input} is one word too many; see --help`,
    UnsatisfiedPositionalError: ({ placeholder }) => `${placeholder} is missing; see --help`,
  })
  return sentence
}

export async function heddleMain(argv: readonly string[]): Promise<number> {
  // The store reads its own command line.
  if (argv[0] === 'store') return (await import('../store/embedded/main.ts')).storeMain(argv.slice(1))
  const here = context()
  await run(APPLICATION, argv, here)
  await here.flushed()
  const code = Number(here.process.exitCode ?? 0)
  if (code >= 0) return code
  return code === ExitCode.UnknownCommand || code === ExitCode.InvalidArgument ? 2 : 1
}
