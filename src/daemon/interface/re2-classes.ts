// Sets of characters as Go's regular expressions name them: \d, [:alpha:], \p{Greek}; and their case. Pure.

/** Whether a code point is in it. */
export type Characters = (code: number) => boolean

type Ranges = readonly (readonly [from: number, to: number])[]
export const charactersIn =
  (ranges: Ranges): Characters =>
  (code) =>
    ranges.some(([from, to]) => from <= code && code <= to)
const not =
  (set: Characters): Characters =>
  (code) =>
    !set(code)

const text = (...parts: string[]): Ranges =>
  parts.map((part) => [part.codePointAt(0) ?? 0, part.codePointAt(part.length - 1) ?? 0] as const)

const DIGITS = text('09')
const LETTERS = text('AZ', 'az')
const WORD = [...DIGITS, ...LETTERS, ...text('_')]
const PERL: Readonly<Record<string, Ranges>> = { d: DIGITS, s: text('\t\n', '\f\r', ' '), w: WORD }

/** `\d`, `\D` and so on: ASCII only. What they negate has its case folded first, as everywhere. */
export function classEscape(escape: string, fold: boolean): Characters | undefined {
  const letter = escape.startsWith('\\') ? (escape[1] ?? '') : ''
  const ranges = Object.hasOwn(PERL, letter.toLowerCase()) ? PERL[letter.toLowerCase()] : undefined
  if (ranges === undefined) return undefined
  const set = caseFolded(charactersIn(ranges), fold)
  return letter === letter.toLowerCase() ? set : not(set)
}

const POSIX: Readonly<Record<string, Ranges>> = {
  alnum: [...DIGITS, ...LETTERS],
  alpha: LETTERS,
  ascii: [[0, 0x7f]],
  blank: text('\t', ' '),
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: DIGITS,
  graph: text('!~'),
  lower: text('az'),
  print: text(' ~'),
  punct: text('!/', ':@', '[`', '{~'),
  space: text('\t\r', ' '),
  upper: text('AZ'),
  word: WORD,
  xdigit: [...DIGITS, ...text('AF', 'af')],
}

/** `[:alpha:]`, `[:^alpha:]`. */
export function posixClass(name: string, fold: boolean): Characters | undefined {
  const [, caret, word = ''] = /^\[:(\^?)(.*):\]$/s.exec(name) ?? []
  const ranges = Object.hasOwn(POSIX, word) ? POSIX[word] : undefined
  if (ranges === undefined) return undefined
  const set = caseFolded(charactersIn(ranges), fold)
  return caret === '^' ? not(set) : set
}

/** A category or script of Unicode, `L`, `Lu` or `Greek`; `^` before it negates. Undefined if there is none. */
export function unicodeClass(name: string, fold: boolean): Characters | undefined {
  if (name.startsWith('^')) {
    const set = unicodeClass(name.slice(1), fold)
    return set && not(set)
  }
  for (const property of [
    `gc=${name}`,
    `sc=${name}`,
    ...(/^(?:Any|ASCII|Assigned)$/.test(name) ? [name] : []),
  ])
    try {
      const pattern = new RegExp(`^\\p{${property}}$`, 'u')
      return caseFolded((code) => pattern.test(String.fromCodePoint(code)), fold)
    } catch (error) {
      // The name of no such property.
      if (!(error instanceof SyntaxError)) throw error
    }
  return undefined
}

/** With `fold`, those too that differ only in case. */
export function caseFolded(set: Characters, fold: boolean): Characters {
  if (!fold) return set
  return (code) => {
    if (set(code)) return true
    const c = String.fromCodePoint(code)
    return [c.toLowerCase(), c.toUpperCase(), c.toUpperCase().toLowerCase()].some(
      (other) => other.length === c.length && set(other.codePointAt(0) ?? 0),
    )
  }
}
