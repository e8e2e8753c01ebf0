// Every option in force and where it comes from, for `heddle config show`; no secret. Pure.
import type { Json } from '../../model/lease.ts'
import type { Given } from '../options.ts'
import { shown, type Origin, type Section } from './option.ts'
import { OPTIONS } from './table.ts'

export interface InForce {
  readonly section: Section | 'network config'
  readonly name: string
  /** `(secret)` in place of one. */
  readonly value: Json
  /** The value for people. */
  readonly shown: string
  readonly origin: Origin
}

const DEFAULT: Origin = { kind: 'default' }

/** Options in the order of the table, then the keys of the conf file's network config. */
export function inForce({ settings, network }: Given): InForce[] {
  const options = OPTIONS.filter((option) => option.only !== 'flag').map((option): InForce => {
    const { value, origin } = settings.get(option.name) ?? { value: option.default, origin: DEFAULT }
    const text = shown(option, value)
    // What is shown otherwise than it is has a secret in it.
    const isMasked = typeof value === 'string' && text !== value
    return { section: option.section, name: option.name, value: isMasked ? text : value, shown: text, origin }
  })
  const keys = (network?.keys ?? []).map(({ name, value, place, isSecret }): InForce => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    const told = isSecret ? '(secret)' : text
    const origin: Origin = { kind: 'file', name, place }
    return { section: 'network config', name, value: isSecret ? told : value, shown: told, origin }
  })
  return [...options, ...keys]
}

/** Where a value comes from, in words. */
export function sourceText({ name, origin }: InForce): string {
  switch (origin.kind) {
    case 'default':
      return 'default'
    case 'flag':
      return `flag ${origin.name}`
    case 'environment':
      return `environment ${origin.name}`
    case 'file': {
      const { file, line } = origin.place
      return `${file}:${line}${origin.name === name ? '' : ` ${origin.name}`}`
    }
  }
}
