// What a backslash begins in Go's regular expressions: a character, or a set of them. Pure.
import { classEscape, unicodeClass, type Characters } from './re2-classes.ts'

/** An expression that Go refuses, in its words. */
export class Refusal extends Error {}
export const refuse = (what: string, where = ''): never => {
  throw new Refusal(`${what}: \`${where}\``)
}

/** `\d`, `\pL`, `\p{Greek}` and the like, if that is what `rest` begins with. */
export function escapedSet(
  rest: string,
  fold: boolean,
): { readonly set: Characters; readonly length: number } | undefined {
  const perl = classEscape(rest.slice(0, 2), fold)
  if (perl !== undefined) return { set: perl, length: 2 }
  const [found, sign, inBraces, letter] = /^\\([pP])(?:\{([^}]*)\}|([^{]))/u.exec(rest) ?? []
  if (found === undefined)
    return /^\\[pP]/u.test(rest) ? refuse('invalid character class range', rest) : undefined
  const set = unicodeClass(inBraces ?? letter ?? '', fold)
  if (set === undefined) return refuse('invalid character class range', found)
  return { set: sign === 'P' ? (c) => !set(c) : set, length: found.length }
}

/** Octal, two or more hexadecimal digits, a letter of C, or any punctuation for itself. */
const ESCAPE =
  /^\\(?:([1-7][0-7]{1,2}|0[0-7]{0,2})|x([\da-fA-F]{2})|x\{([\da-fA-F]+)\}|([afnrtv])|([^\dA-Za-z\u{80}-\u{10ffff}]))/u
const LETTERS: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }

/** A single octal digit other than 0 would refer to a group, which the dialect has not. */
export function escapedCharacter(rest: string): { readonly code: number; readonly length: number } {
  if (rest.length === 1) refuse('trailing backslash at end of expression')
  const [whole, octal, hex, braced, letter, itself] = ESCAPE.exec(rest) ?? []
  const digits = octal ?? hex ?? braced
  const code =
    digits !== undefined
      ? Number.parseInt(digits, octal === undefined ? 16 : 8)
      : letter !== undefined
        ? LETTERS[letter]
        : itself?.codePointAt(0)
  if (whole === undefined || code === undefined || code > 0x10ffff)
    return refuse('invalid escape sequence', readInVain(rest))
  return { code, length: whole.length }
}

/** Up to the first character that can't be there, or the digit with which it is no character of Unicode any more. */
function readInVain(rest: string): string | undefined {
  const [found, digits] = /^\\(?:x\{([\da-fA-F]*)[^]?|x[^]{0,2}|[^])/u.exec(rest) ?? []
  for (let length = 1; length <= (digits?.length ?? 0); length++)
    if (Number.parseInt(digits?.slice(0, length) ?? '', 16) > 0x10ffff) return rest.slice(0, 3 + length)
  return found
}
