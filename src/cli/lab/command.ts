// What the lab's commands have in common: their flags, interruption, and telling facts or failures to people or, with
// --json, to programs.
import { constants } from 'node:os'
import { type LabDirectory, labDirectory } from '../../lab/directory.ts'
import { LabError } from '../../lab/error.ts'
import type { Progress } from '../../lab/progress.ts'
import type { Context } from '../context.ts'
import { progressOn, quiet } from '../progress.ts'
import { styleFor } from '../style.ts'

export interface CommonFlags {
  readonly dir: string | undefined
  readonly json: boolean
}

export const DIR_FLAG = {
  kind: 'parsed',
  parse: String,
  optional: true,
  brief: 'Where the lab keeps its state; each directory is a lab of its own',
} as const

export const COMMON_FLAGS = {
  dir: DIR_FLAG,
  json: { kind: 'boolean', brief: 'Print the facts as JSON', default: false, withNegated: false },
} as const

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface Run {
  readonly directory: LabDirectory
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Runs a command to its exit code; failures become a sentence and an exit code. */
export async function runCommand(
  context: Context,
  flags: CommonFlags,
  work: (run: Run) => Promise<number>,
): Promise<void> {
  const stop = new AbortController()
  let interruptedBy: NodeJS.Signals | undefined
  // Signals may come twice (from the terminal and from npm): what is being undone is not undone faster for it.
  const interrupt = (signal: NodeJS.Signals) => {
    interruptedBy ??= signal
    stop.abort()
  }
  for (const signal of SIGNALS) process.on(signal, interrupt)
  using progress = flags.json && !process.stderr.isTTY ? quiet : progressOn(process.stderr)
  try {
    context.process.exitCode = await work({
      directory: labDirectory(flags.dir),
      progress,
      signal: stop.signal,
    })
  } catch (error) {
    progress[Symbol.dispose]()
    tell(context, flags, error)
    context.process.exitCode =
      interruptedBy !== undefined
        ? 128 + constants.signals[interruptedBy]
        : error instanceof LabError && error.code === 'usage'
          ? 2
          : 1
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt)
  }
}

function tell(context: Context, flags: CommonFlags, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  if (flags.json)
    printJson(context, { error: { code: error instanceof LabError ? error.code : 'failed', message } })
  else context.process.stderr.write(`${styleFor(process.stderr).bad('heddle:')} ${message}\n`)
  if (!(error instanceof LabError) && process.env['HEDDLE_DEBUG'] && error instanceof Error)
    context.process.stderr.write(`${error.stack}\n`)
}

export const printJson = (context: Context, facts: unknown): void =>
  context.process.stdout.write(`${JSON.stringify(facts, undefined, 2)}\n`)
