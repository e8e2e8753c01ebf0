// The one table of flanneld's options. Flags, environment, conf file, --help and docs/options.md come from it.
import type { FlagValue } from './go-values.ts'
import { SECTIONS, type Option } from './option.ts'
import { OWN } from './own.ts'
import { UPSTREAM } from './upstream.ts'

type Row = (typeof UPSTREAM | typeof OWN)[number]
type Value<O extends Option> = O['type'] extends 'bool'
  ? boolean
  : O['type'] extends 'int' | 'level' | 'duration'
    ? number
    : O['type'] extends 'strings'
      ? readonly string[]
      : string

/** Every option by its flag's name. */
export type Options = { readonly [O in Row as O['name']]: Value<O> }

const ROWS: readonly Option[] = [...UPSTREAM, ...OWN]

export const OPTIONS: readonly Option[] = SECTIONS.flatMap((section) =>
  ROWS.filter((option) => option.section === section),
)

/** `valueOf` gives each option a value of its type. */
export const optionsFrom = (valueOf: (option: Option) => FlagValue): Options =>
  Object.fromEntries(OPTIONS.map((option) => [option.name, valueOf(option)])) as Options
