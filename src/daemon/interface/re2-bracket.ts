// Sets of characters in brackets, as Go's regular expressions have them: `[a-z]`, `[^[:space:]\d]`. Pure.
import { caseFolded, charactersIn, posixClass, type Characters } from './re2-classes.ts'
import { escapedCharacter, escapedSet, refuse } from './re2-escapes.ts'

interface Read {
  readonly set: Characters
  readonly length: number
}

/** What `rest` begins with; `]` and `-` stand for themselves where they come first. */
export function readBracket(rest: string, fold: boolean): Read {
  const isNegated = rest.startsWith('[^')
  const sets: Characters[] = []
  let at = isNegated ? 2 : 1
  do {
    const { set, length } = readElement(rest.slice(at), fold, rest)
    sets.push(set)
    at += length
  } while (rest[at] !== ']')
  const some: Characters = (code) => sets.some((set) => set(code))
  return { set: isNegated ? (code) => !some(code) : some, length: at + 1 }
}

function readElement(rest: string, fold: boolean, whole: string): Read {
  const [posix] = /^\[:[^]*?:\]/.exec(rest) ?? []
  if (posix !== undefined) {
    const set = posixClass(posix, fold)
    return set === undefined ? refuse('invalid character class range', posix) : { set, length: posix.length }
  }
  const escaped = escapedSet(rest, fold)
  if (escaped !== undefined) return escaped
  const from = readCharacter(rest, whole)
  const after = rest.slice(from.length)
  const to = /^-[^\]]/u.test(after) ? readCharacter(after.slice(1), whole) : undefined
  const length = to === undefined ? from.length : from.length + 1 + to.length
  const last = to?.code ?? from.code
  if (last < from.code) refuse('invalid character class range', rest.slice(0, length))
  return { set: caseFolded(charactersIn([[from.code, last]]), fold), length }
}

function readCharacter(rest: string, whole: string): { readonly code: number; readonly length: number } {
  const code = rest.codePointAt(0)
  if (code === undefined) return refuse('missing closing ]', whole)
  return rest.startsWith('\\') ? escapedCharacter(rest) : { code, length: code > 0xffff ? 2 : 1 }
}
