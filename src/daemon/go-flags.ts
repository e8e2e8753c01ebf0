// Go's flag syntax: one or two dashes alike, `-name=value` or `-name value`, a bare boolean is true and takes
// `=false` only with `=`, parsing stops at `--` or the first other word. Pure.

export interface FlagSpec {
  readonly name: string
  /** `duration` is Go's (`90s`, `10m`, `1h30m`); its value is in seconds. */
  readonly type: 'string' | 'bool' | 'int' | 'strings' | 'duration'
}
export type FlagValue = string | boolean | number | readonly string[]

export interface CommandLine {
  readonly given: ReadonlyMap<string, FlagValue>
  /** The first word that is no flag, and all behind it: Go's flag package leaves them unread. */
  readonly unread: readonly string[]
}

/** What the command line said, by flag name; or a sentence about the first thing wrong with it. */
export function parseGoFlags(specs: readonly FlagSpec[], args: readonly string[]): CommandLine | string {
  const byName = new Map(specs.map((spec) => [spec.name, spec]))
  const given = new Map<string, FlagValue>()
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? ''
    if (word === '--' || !word.startsWith('-') || word === '-') return { given, unread: args.slice(i) }
    const [, name = '', equals] = /^--?([^=]*)(=[\s\S]*)?$/.exec(word) ?? []
    const spec = byName.get(name)
    if (name === '' || name.startsWith('-')) return `bad flag syntax: ${word}`
    if (!spec) return `unknown flag -${name}${suggestion(name, specs)}`
    let text = equals?.slice(1)
    if (text === undefined && spec.type !== 'bool') {
      if (i + 1 >= args.length) return `flag -${name} needs a value`
      text = args[++i] ?? ''
    }
    const value = parseFlagValue(spec, text ?? 'true')
    if (value === undefined) return invalid(spec, text ?? '')
    const before = given.get(name)
    given.set(
      name,
      Array.isArray(before) && Array.isArray(value)
        ? [...(before as string[]), ...(value as string[])]
        : value,
    )
  }
  return { given, unread: [] }
}

/** One value as Go reads it; undefined if it is none of the type. A repeatable flag gets one element. */
export function parseFlagValue(spec: FlagSpec, text: string): FlagValue | undefined {
  switch (spec.type) {
    case 'string':
      return text
    case 'strings':
      return [text]
    case 'bool':
      if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true
      return ['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text) ? false : undefined
    case 'int': {
      const value = /^[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)$/.test(text)
        ? goInteger(text)
        : NaN
      return Number.isSafeInteger(value) ? value : undefined
    }
    case 'duration':
      return goDurationSeconds(text)
  }
}

function goDurationSeconds(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    seconds += Number(amount) * { ms: 0.001, s: 1, m: 60, h: 3600 }[unit as 'ms' | 's' | 'm' | 'h']
  return seconds
}

function goInteger(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1
  const digits = text.replace(/^[+-]/, '')
  return sign * Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits)
}

export const invalid = (spec: FlagSpec, text: string): string =>
  `invalid value ${JSON.stringify(text)} for flag -${spec.name}: want ${{ bool: 'true or false', int: 'a whole number', string: 'text', strings: 'text', duration: 'a time such as 90s, 10m or 1h30m' }[spec.type]}`

function suggestion(name: string, specs: readonly FlagSpec[]): string {
  const best = specs
    .map((spec) => ({ name: spec.name, distance: editDistance(name, spec.name) }))
    .sort((a, b) => a.distance - b.distance)[0]
  return best && best.distance <= Math.max(2, name.length / 3)
    ? `; did you mean -${best.name}?`
    : '; see --help'
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      )
    row = next
  }
  return row[b.length] ?? 0
}
