// `flanneld --help`, in the form of Go's flag package. Pure.
import { shown, type Option } from './option.ts'
import { OPTIONS } from './table.ts'

/** How a value is called where it must be given. */
export const valueName = (option: Option): string =>
  ({ bool: '', string: ' text', strings: ' text', int: ' number', level: ' number', duration: ' time' })[
    option.type
  ]

/** What an option means, and what this build does with it. */
export const meaning = (option: Option): string =>
  option.refused !== undefined
    ? `${option.help} [not built yet]`
    : option.without !== undefined
      ? `${option.help} [no effect: ${option.without}]`
      : option.help

export function helpText(): string {
  const rows = OPTIONS.map((option) => {
    const preset = shown(option, option.default)
    // Go's flag package leaves these out.
    const tail = ['', 'false', '0'].includes(preset) ? '' : ` (default ${preset})`
    return `  --${option.name}${valueName(option)}\n    \t${meaning(option)}${tail}`
  })
  return [
    'Usage: flanneld [flags]',
    '',
    ...rows,
    '',
    'Every flag may also be given as FLANNELD_<FLAG> in the environment, or in the file of --config-file; flags win',
    'over the environment, and both over the file. `heddle config show -- FLAGS` tells what is in force and why.',
    '',
  ].join('\n')
}
