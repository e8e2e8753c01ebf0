// Where commands write, and with which exit code they end.
import type { CommandContext, StricliProcess } from '@stricli/core'
import { coloured } from './style.ts'

export interface Context extends CommandContext {
  readonly process: StricliProcess
}

/** Of commands that take no flags. */
export type NoFlags = Readonly<Record<string, never>>

export function context(): Context {
  const colours = coloured(process.stdout) && coloured(process.stderr)
  const stream = (to: NodeJS.WriteStream) => ({
    write: (text: string) => void to.write(text),
    getColorDepth: () => (colours ? 8 : 1),
  })
  return { process: { stdout: stream(process.stdout), stderr: stream(process.stderr) } }
}
