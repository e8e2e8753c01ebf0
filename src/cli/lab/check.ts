// `heddle lab check`.
import { buildCommand } from '@stricli/core'
import type { Context } from '../context.ts'
import { COMMON_FLAGS, printJson, runCommand, type CommonFlags } from './command.ts'

export const checkCommand = buildCommand<CommonFlags, [], Context>({
  docs: { brief: 'Prove again that every pod reaches every other and the outside; changes nothing' },
  parameters: { flags: COMMON_FLAGS },
  loader: async () => {
    const { labCheck } = await import('../../lab/lab.ts')
    const { showReport } = await import('./report.ts')
    return function check(this: Context, flags: CommonFlags) {
      return runCommand(this, flags, async (run) => {
        const told = await labCheck({
          ...run,
          words: ['check', '--dir', run.directory.path, ...(flags.json ? ['--json'] : [])],
        })
        if (told.kind === 'told') return told.code
        if (flags.json) printJson(this, told.facts)
        else this.process.stdout.write(showReport(told.facts, 'check'))
        return told.facts.proof?.ok === true ? 0 : 1
      })
    }
  },
})
