// One value as Go's flag package reads it from text, and klog's. Pure.

export interface FlagSpec {
  readonly name: string
  /**
   * `strings` collects, `duration` is Go's (`90s`, `10m`, `1h30m`) and counted in seconds, `level` is klog's number,
   * which unlike `int` is always decimal.
   */
  readonly type: 'string' | 'strings' | 'bool' | 'int' | 'level' | 'duration'
  /** What text must look like, and that in words; any text is right unless given. */
  readonly form?: { readonly pattern: RegExp; readonly want: string }
  /** Its value is never shown. */
  readonly secret?: true
}
export type FlagValue = string | boolean | number | readonly string[]

/** The value; undefined if the text is none of the type. A repeatable flag gets one element. */
export function parseFlagValue(spec: FlagSpec, text: string): FlagValue | undefined {
  if (spec.form?.pattern.test(text) === false) return undefined
  switch (spec.type) {
    case 'string':
      return text
    case 'strings':
      return [text]
    case 'bool':
      if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true
      return ['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text) ? false : undefined
    case 'int':
      return goInteger(text)
    case 'level':
      return /^[+-]?\d+$/.test(text) && Math.abs(Number(text)) < 2 ** 31 ? Number(text) : undefined
    case 'duration':
      return goDurationSeconds(text)
  }
}

const WANT: Readonly<Record<FlagSpec['type'], string>> = {
  string: 'text',
  strings: 'text',
  bool: 'true or false',
  int: 'a whole number',
  level: 'a whole number',
  duration: 'a time such as 90s, 10m or 1h30m',
}

export const wanted = (spec: FlagSpec): string => spec.form?.want ?? WANT[spec.type]

/** A password that stands where something else belongs, as behind a flag that lacks its value. */
export const withoutPassword = (text: string): string => text.replaceAll(/(password=).+/gis, '$1…')

/** What is wrong with a text that is no value of the flag. */
export const invalid = (spec: FlagSpec, text: string): string =>
  `${spec.secret ? 'the value' : JSON.stringify(withoutPassword(text))} is invalid: want ${wanted(spec)}`

/** strconv.ParseInt with base 0: 0x, 0b, 0o and 0 are prefixes, `_` may stand between digits. */
function goInteger(text: string): number | undefined {
  const prefixed = /^[+-]?0(?:[xX](?:_?[\da-fA-F])+|[bB](?:_?[01])+|[oO]?(?:_?[0-7])+)$/
  if (!prefixed.test(text) && !/^[+-]?(?:0|[1-9](?:_?\d)*)$/.test(text)) return undefined
  const digits = text.replace(/^[+-]/, '').replaceAll('_', '')
  const value = Number(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits)
  return Number.isSafeInteger(value) ? (text.startsWith('-') && value !== 0 ? -value : value) : undefined
}

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600 } as const

function goDurationSeconds(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return undefined
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    seconds += Number(amount) * SECONDS[unit as keyof typeof SECONDS]
  return Number.isFinite(seconds) ? seconds : undefined
}
