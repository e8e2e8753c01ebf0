// `heddle lab logs`.
import { buildCommand } from '@stricli/core'
import type { Context } from '../context.ts'
import { styleFor } from '../style.ts'
import { COMMON_FLAGS, printJson, runCommand, type CommonFlags } from './command.ts'

export const logsCommand = buildCommand<CommonFlags, [string?], Context>({
  docs: { brief: "Print the logs of the hosts' flannelds and of the store, or of one of them" },
  parameters: {
    flags: COMMON_FLAGS,
    positional: {
      kind: 'tuple',
      parameters: [{ brief: 'A host, or store', placeholder: 'host', parse: String, optional: true }],
    },
  },
  loader: async () => {
    const { recordOf } = await import('../../lab/lab.ts')
    const { logsOf } = await import('../../lab/logs.ts')
    return function logs(this: Context, flags: CommonFlags, name?: string) {
      return runCommand(this, flags, async ({ directory }) => {
        recordOf(directory)
        const logs = logsOf(directory, name)
        const style = styleFor(process.stdout)
        if (flags.json) printJson(this, Object.fromEntries(logs))
        else
          for (const [from, lines] of logs)
            for (const line of lines)
              this.process.stdout.write(`${name === undefined ? `${style.dim(`${from} |`)} ` : ''}${line}\n`)
        return 0
      })
    }
  },
})
