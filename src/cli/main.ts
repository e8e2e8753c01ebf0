// `heddle`: what people type. Commands are one file each, loaded when asked for. Exit codes: 0 done, 1 failed, 2 not
// understood.
import { buildApplication, buildRouteMap, ExitCode, run, text_en } from '@stricli/core'
import { VERSION } from '../model/version.ts'
import { configRoutes } from './config/routes.ts'
import { context } from './context.ts'
import { driftCommand } from './drift.ts'
import { explainCommand } from './explain.ts'
import { labRoutes } from './lab/routes.ts'
import { argumentProblem, commandProblem } from './problem.ts'
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

const applicationFor = (argv: readonly string[]) =>
  buildApplication(ROOT, {
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
          `heddle: ${commandProblem(argv, input, corrections)}`,
        exceptionWhileParsingArguments: (error) => `heddle: ${argumentProblem(argv, error)}`,
      },
    },
  })

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
  await run(applicationFor(argv), argv, here)
  await here.flushed()
  const code = Number(here.process.exitCode ?? 0)
  if (code >= 0) return code
  return code === ExitCode.UnknownCommand || code === ExitCode.InvalidArgument ? 2 : 1
}
