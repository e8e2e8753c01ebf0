// `heddle config show`: the options that flanneld would have with these flags, this environment and its conf file.
import { buildCommand } from '@stricli/core'
import type { InForce } from '../../daemon/options/in-force.ts'
import type { Context } from '../context.ts'
import { columns, styleFor, type Style } from '../style.ts'

interface Flags {
  readonly json: boolean
}

export const showCommand = buildCommand<Flags, string[], Context>({
  docs: {
    brief: 'Show every option of flanneld in force and where it comes from; its flags go behind --',
    customUsage: ['[--json]', '[--json] -- --iface=eth1 --ip-masq'],
    fullDescription: [
      'Show every option of flanneld in force and where it comes from: a flag, the environment, the conf file (with its',
      "line), or the default. Give flanneld's own flags behind --, in the environment that it has. Secrets are masked.",
      'Exit code 2 if flanneld would refuse to start with them.',
    ].join('\n'),
  },
  parameters: {
    flags: { json: { kind: 'boolean', brief: 'Print it as JSON', default: false, withNegated: false } },
    positional: {
      kind: 'array',
      parameter: { brief: "flanneld's flags", placeholder: 'flags behind --', parse: String },
    },
  },
  loader: async () => {
    const { readWholly } = await import('../../daemon/options/wholly.ts')
    const { inForce, sourceText } = await import('../../daemon/options/in-force.ts')
    return async function show(this: Context, { json }: Flags, ...words: string[]) {
      const { stdout, stderr } = this.process
      const printJson = (facts: object) => stdout.write(`${JSON.stringify(facts, undefined, 2)}\n`)
      const complain = (text: string) => stderr.write(`${styleFor(process.stderr).bad('heddle:')} ${text}\n`)
      const given = await readWholly(words, process.env)
      if (typeof given === 'string') {
        if (json) printJson({ error: { code: 'refused', message: given } })
        else complain(given)
        this.process.exitCode = 2
        return
      }
      const { notes, confFile } = given
      const rows = inForce(given)
      if (json) {
        const options = rows.map(({ section, name, value, origin }) => ({ section, name, value, origin }))
        printJson({ file: confFile ?? null, options, notes })
        return
      }
      for (const { text } of notes) complain(text)
      stdout.write(`conf file: ${confFile ?? 'none'}\n${table(rows, sourceText, styleFor(process.stdout))}`)
    }
  },
})

/** Defaults are dimmed: what somebody gave stands out. */
function table(rows: readonly InForce[], sourceOf: (row: InForce) => string, style: Style): string {
  const cells = rows.map((row) => {
    const words = [row.name, row.shown === '' ? '-' : row.shown, sourceOf(row)]
    return row.origin.kind === 'default' ? words.map(style.dim) : words
  })
  const lines = columns(cells).split('\n')
  return rows
    .map(({ section }, i) => {
      const heading = section === rows[i - 1]?.section ? '' : `\n${style.bold(section)}\n`
      return `${heading}${lines[i]}\n`
    })
    .join('')
}
