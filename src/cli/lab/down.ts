// `heddle lab down`.
import { buildCommand } from '@stricli/core'
import { count } from '../../lab/words.ts'
import type { Context } from '../context.ts'
import { COMMON_FLAGS, printJson, runCommand, type CommonFlags } from './command.ts'

export const downCommand = buildCommand<CommonFlags, [], Context>({
  docs: { brief: 'Remove the lab: its processes, namespaces and files' },
  parameters: { flags: COMMON_FLAGS },
  loader: async () => {
    const { labDown } = await import('../../lab/lab.ts')
    return function down(this: Context, flags: CommonFlags) {
      return runCommand(this, flags, async ({ directory }) => {
        const facts = await labDown({ directory })
        if (flags.json) printJson(this, facts)
        else {
          this.process.stdout.write(
            facts.wasUp
              ? `the lab is gone: ${count(facts.processes, 'process')} and ${count(facts.namespaces, 'namespace')} ended, ${facts.directory} removed\n`
              : `no lab was up in ${facts.directory}\n`,
          )
          for (const warning of facts.warnings) this.process.stderr.write(`heddle: ${warning}\n`)
        }
        return facts.warnings.length === 0 ? 0 : 1
      })
    }
  },
})
