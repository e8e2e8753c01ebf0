// `heddle lab status`.
import { buildCommand } from '@stricli/core'
import type { Context } from '../context.ts'
import { COMMON_FLAGS, printJson, runCommand, type CommonFlags } from './command.ts'

export const statusCommand = buildCommand<CommonFlags, [], Context>({
  docs: {
    brief: 'Show processes, pods, leases and all that each kernel was given; exit code 0 if all is well',
  },
  parameters: { flags: COMMON_FLAGS },
  loader: async () => {
    const { labStatus } = await import('../../lab/lab.ts')
    const { isHealthy } = await import('../../lab/inspect.ts')
    const { showStatus } = await import('./report.ts')
    return function status(this: Context, flags: CommonFlags) {
      return runCommand(this, flags, async (run) => {
        const told = await labStatus({
          ...run,
          words: ['status', '--dir', run.directory.path, ...(flags.json ? ['--json'] : [])],
        })
        if (told.kind === 'told') return told.code
        if (flags.json) printJson(this, told.facts)
        else this.process.stdout.write(showStatus(told.facts))
        return isHealthy(told.facts) ? 0 : 1
      })
    }
  },
})
