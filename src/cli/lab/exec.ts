// `heddle lab exec`.
import { buildCommand } from '@stricli/core'
import type { Context } from '../context.ts'
import { DIR_FLAG, runCommand } from './command.ts'

interface Flags {
  readonly dir: string | undefined
}

export const execCommand = buildCommand<Flags, string[], Context>({
  docs: {
    brief: 'Run a command in a host or a pod, e.g. exec h1 -- ip route, exec h1p1 -- sh',
    fullDescription:
      'Runs a command in the network of a host (h1), a pod (h1p1), the store, the underlay or the outside; files and processes are those of this machine. Its exit code is the exit code.',
    customUsage: ['h1 -- ip route', 'h1p1 -- sh'],
  },
  parameters: {
    flags: { dir: DIR_FLAG },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { brief: 'HOST or POD, then the command after --', placeholder: 'HOST', parse: String },
    },
  },
  loader: async () => {
    const { labExec } = await import('../../lab/lab.ts')
    return function exec(this: Context, flags: Flags, name = '', ...command: string[]) {
      return runCommand(this, { ...flags, json: false }, ({ directory }) =>
        labExec(
          { directory, words: ['exec', '--dir', directory.path, name, '--', ...command] },
          name,
          command,
        ),
      )
    }
  },
})
