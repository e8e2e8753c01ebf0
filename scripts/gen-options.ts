// Regenerates docs/options.md from the table of flanneld's options: `node_modules/.bin/bun scripts/gen-options.ts`.
// With --check nothing is written and a difference ends in exit code 1.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DISTRIBUTIONS } from '../src/daemon/options/conf/from-environment-file.ts'
import { ETCD_NAMES } from '../src/daemon/options/conf/from-json.ts'
import { BACKEND_KEYS, confName, NETWORK_KEYS } from '../src/daemon/options/conf/network-keys.ts'
import { meaning } from '../src/daemon/options/help.ts'
import { environmentName, SECTIONS, shown, type Option, type Section } from '../src/daemon/options/option.ts'
import { OPTIONS } from '../src/daemon/options/table.ts'

const root = join(import.meta.dirname, '..')
const path = join(root, 'docs', 'options.md')
/** An example that the tests read too. */
const fenced = (language: string, name: string): string => {
  const text = readFileSync(join(root, 'src/daemon/options/conf/corpus/good', name), 'utf8')
  return `\`\`\`${language}\n${text.trim()}\n\`\`\``
}

const TITLES: Readonly<Record<Section, string>> = {
  etcd: 'etcd',
  interface: 'Interface between hosts',
  host: 'This host',
  status: 'Health and status',
  log: 'Log',
  general: 'General',
  Kubernetes: 'Kubernetes',
}

const code = (text: string): string => (text === '' ? '' : `\`${text}\``)
const cell = (text: string): string => text.replaceAll('|', '\\|')
const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [heads, heads.map(() => '---'), ...rows]
    .map((cells) => `|${cells.map((text) => (text === '---' ? text : ` ${cell(text)} `)).join('|')}|`)
    .join('\n')

const optionRow = (option: Option): string[] => [
  code(`--${option.name}`),
  option.type,
  code(shown(option, option.default)),
  option.own ? '' : '**u**',
  meaning(option),
]

const sections = SECTIONS.map((section) => {
  const rows = OPTIONS.filter((option) => option.section === section).map(optionRow)
  return `### ${TITLES[section]}\n\n${table(['flag', 'value', 'default', '', 'meaning'], rows)}`
}).join('\n\n')

const etcdRows = OPTIONS.filter((option) => option.name.startsWith('etcd-')).map((option) => {
  const short = [...ETCD_NAMES].filter(([, flag]) => flag === option.name).map(([name]) => name)
  return [[option.name.slice('etcd-'.length), ...short].map(code).join(', '), code(`--${option.name}`)]
})

const page = `# flanneld's options

This page is made from the code (\`scripts/gen-options.ts\`). \`flanneld --help\` tells the same in short, and
\`heddle config show -- FLAGS\` what is in force on a host and where each value comes from.

**Flags** are Go's: one dash or two, \`--name=value\` or \`--name value\`. A boolean is true by itself and takes a value only
with \`=\` (\`--ip-masq=false\`); a repeatable one (\`strings\`) collects. Whole numbers may be \`0x1F\`, \`0o17\`, \`0b1\` or
\`1_000\`, as Go has them; times are \`90s\`, \`10m\`, \`1h30m\`. A mistyped flag names the closest one.

**Environment**: \`FLANNELD_\` and the flag in capitals, \`_\` for \`-\`: \`${environmentName('etcd-endpoints')}\`. An empty
variable counts as none; one that can't be read is told in the log and left out, as upstream has it. A repeatable flag
gets one value. \`--version\` and \`--help\` have no variable.

**The conf file** is [below](#the-conf-file). Flags beat the environment, the environment beats the file.

**Exit codes**: 0 after SIGTERM or SIGINT, \`--version\` and \`--help\`; 2 where options can't be understood, are out of range
or of a part that isn't built yet (nothing has changed then); 1 where flanneld can't go on.

## Flags

**u** marks those of upstream v0.28, with its names and defaults; the others are heddle's own, or glog's that unit files
of old flannels give.

${sections}

## The conf file

\`--config-file FILE\`, or \`/etc/flannel/flanneld.conf\` if it is there. A file that is named must be there. It has one of
two forms, told apart by how it begins. What is wrong in it is refused with line and column, exit code 2, and nothing
changes. A file with a password in it should have mode 600.

### Environment file

${fenced('sh', 'page.conf')}

Read as systemd reads an \`EnvironmentFile\`, \`export\` allowed: comments are lines that begin with \`#\` or \`;\`, values may
be quoted, a backslash continues a line, nothing is expanded. A \`#\` behind a value is part of it. Every flag's
\`FLANNELD_*\` variable may stand there; what distributions' start scripts read is stronger, the later the more:

${table(
  ['variable', 'flag'],
  [
    ...[...DISTRIBUTIONS].map(([name, flag]) => [code(name), code(`--${flag}`)]),
    [code('FLANNEL_OPTIONS'), 'any, in a shell’s words'],
  ],
)}

### JSON

${fenced('json', 'page.json.conf')}

Options have the names of their flags (\`ip-masq\` or \`ipMasq\`); lists may be arrays. Those of etcd may stand in \`etcd\`:

${table(['under `etcd`', 'flag'], etcdRows)}

The network config, in upstream's keys, is published to the store if, and only if, it has none; where the store has
another, flanneld says so and follows the store.

${table(
  ['key', 'meaning'],
  [
    ...NETWORK_KEYS.map(([key, help]) => [code(confName(key)), help]),
    [code('mtu'), "MTU of the underlay, the back end's option; the interface's unless given"],
  ],
)}

Keys of \`backend\`, each back end taking its own: ${BACKEND_KEYS.map((key) => code(confName(key))).join(', ')}.
`

if (process.argv.includes('--check')) {
  if (readFileSync(path, 'utf8') !== page) {
    process.stderr.write("docs/options.md isn't what the options are: run scripts/gen-options.ts\n")
    process.exitCode = 1
  }
} else writeFileSync(path, page)
