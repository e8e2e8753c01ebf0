// Where commands write, and with which exit code they end.
import type { CommandContext, StricliProcess } from '@stricli/core'
import { coloured } from './style.ts'

export interface Context extends CommandContext {
  readonly process: StricliProcess
}

/** Of commands that take no flags. */
export type NoFlags = Readonly<Record<string, never>>

/** Writing to a pipe takes its time: `flushed` before the process may exit. */
export function context(): Context & { readonly flushed: () => Promise<void> } {
  const colours = coloured(process.stdout) && coloured(process.stderr)
  const pending: Promise<void>[] = []
  const stream = (to: NodeJS.WriteStream) => {
    // A reader that has seen enough (`| head`) is no failure of ours.
    to.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
    return {
      write: (text: string) => void pending.push(new Promise((done) => to.write(text, () => done()))),
      getColorDepth: () => (colours ? 8 : 1),
    }
  }
  return {
    process: { stdout: stream(process.stdout), stderr: stream(process.stderr) },
    flushed: async () => void (await Promise.all(pending)),
  }
}
