// What the table says of one option, and how options of more than one source come together in its words. Pure.
import type { NamedSpec } from './go-flags.ts'
import { withoutPassword, type FlagSpec, type FlagValue } from './go-values.ts'

/** In the order of --help and of the reference page. */
export const SECTIONS = ['etcd', 'interface', 'host', 'status', 'log', 'general', 'Kubernetes'] as const
export type Section = (typeof SECTIONS)[number]

export interface Option extends NamedSpec {
  readonly default: FlagValue
  readonly section: Section
  readonly help: string
  /** heddle's own: upstream v0.28 doesn't know it. */
  readonly own?: true
  /** Of a part that isn't built yet: any value but the default is refused with this sentence. */
  readonly refused?: string
  /** Why it is taken but changes nothing. */
  readonly without?: string
  /** Where it can be given, if not everywhere. */
  readonly only?: 'flag' | 'flag or environment'
  /** A list in one text, with commas; an array in JSON. */
  readonly list?: true
  /** What is wrong with a value, as it goes on after the value. */
  readonly check?: (value: FlagValue) => string | undefined
}

export const environmentName = (flag: string): string =>
  `FLANNELD_${flag.toUpperCase().replace(/[-.]/g, '_')}`

/** A place in a text, both counted from 1; columns are characters. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'environment'; readonly name: string }
  /** `name` as the file has it. */
  | { readonly kind: 'file'; readonly name: string; readonly place: Place }

export interface Setting {
  readonly value: FlagValue
  readonly origin: Origin
}
/** By option. */
export type Settings = ReadonlyMap<string, Setting>

/** Something to tell once there is a log. */
export interface Note {
  readonly level: 'info' | 'warning' | 'error'
  readonly text: string
}

/** Options that flanneld can't start with: a sentence about the first thing wrong, with the place if it is in a file. */
export class OptionsError extends Error {
  readonly code = 'options'
  override readonly name = 'OptionsError'
}

export const placeText = ({ file, line, column }: Place): string => `${file}:${line}:${column}`

/** Where a value was given, in front of what is wrong with it. */
export function givenAs(origin: Origin): string {
  switch (origin.kind) {
    case 'default':
      return 'the default'
    case 'flag':
    case 'environment':
      return origin.name
    case 'file':
      return `${placeText(origin.place)}: ${origin.name}`
  }
}

const USER_INFO = /(\/\/)[^/@\s,]*@/g

/** A value for people; never a secret. */
export function shown(spec: FlagSpec, value: FlagValue): string {
  const text = typeof value === 'object' ? value.join(', ') : String(value)
  if (spec.secret) return text === '' ? '' : '(secret)'
  const unit = spec.type === 'duration' ? 's' : ''
  return `${withoutPassword(text).replace(USER_INFO, '$1…@')}${unit}`
}
