// Go's flag syntax (flag.FlagSet, parseOne): one or two dashes alike, `-name=value` or `-name value`, a bare boolean is
// true and takes a value only with `=`; reading stops at `--` or the first other word. Pure.
import { closest } from './closest.ts'
import { invalid, parseFlagValue, type FlagSpec, type FlagValue } from './go-values.ts'

export interface NamedSpec extends FlagSpec {
  /** Other names that mean the same. */
  readonly aliases?: readonly string[]
}

export interface GivenFlag {
  readonly name: string
  readonly value: FlagValue
  /** Index of its word. */
  readonly word: number
}

export type CommandLine =
  | {
      readonly kind: 'flags'
      readonly given: readonly GivenFlag[]
      /** Index of the first word that Go leaves unread; the number of words if there is none. */
      readonly unread: number
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'mistake'; readonly word: number; readonly reason: string }

/** What the words say, in their order. A mistake's reason never repeats a value that may be secret. */
export function parseGoFlags(specs: readonly NamedSpec[], words: readonly string[]): CommandLine {
  const given: GivenFlag[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ''
    const start = i
    const mistake = (reason: string): CommandLine => ({ kind: 'mistake', word: start, reason })
    if (word === '--') return { kind: 'flags', given, unread: i + 1 }
    if (word.length < 2 || !word.startsWith('-')) return { kind: 'flags', given, unread: i }
    const bare = word.replace(/^--?/, '')
    const equals = bare.indexOf('=')
    const name = equals < 0 ? bare : bare.slice(0, equals)
    if (name === '' || name.startsWith('-')) return mistake(`bad flag syntax: ${word.split('=', 1)[0]}`)
    const spec = specs.find((spec) => spec.name === name || spec.aliases?.includes(name))
    if (spec === undefined) {
      if (name === 'help' || name === 'h') return { kind: 'help' }
      return mistake(`there is no flag --${name}; ${meant(name, specs)}`)
    }
    let text = equals < 0 ? undefined : bare.slice(equals + 1)
    if (text === undefined && spec.type === 'bool') text = 'true'
    text ??= words[++i]
    if (text === undefined) return mistake(`--${name} needs a value`)
    const value = parseFlagValue(spec, text)
    if (value === undefined) return mistake(`--${name}: ${invalid(spec, text)}`)
    given.push({ name: spec.name, value, word: start })
  }
  return { kind: 'flags', given, unread: words.length }
}

function meant(name: string, specs: readonly NamedSpec[]): string {
  const near = closest(
    name,
    specs.flatMap((spec) => [spec.name, ...(spec.aliases ?? [])]),
  )
  return near === undefined ? 'see flanneld --help' : `did you mean --${near}?`
}
