// What an opening parenthesis begins in Go's regular expressions: a group, named or not, or flags for the rest of the
// one it stands in. Pure.
import { refuse } from './re2-escapes.ts'

export interface Flags {
  readonly fold: boolean
  readonly multiline: boolean
  readonly dotAll: boolean
}

interface Opening {
  /** Of what is read. */
  readonly length: number
  /** From here on. */
  readonly flags: Flags
  /** False for `(?i)`. */
  readonly isGroup: boolean
}

/** What `rest` begins with, read under `flags`. */
export function readGroup(rest: string, flags: Flags): Opening {
  if (/^\(\?P?</.test(rest)) return { length: nameLength(rest), flags, isGroup: true }
  if (!rest.startsWith('(?')) return { length: 1, flags, isGroup: true }
  const [found, set = '', clear = '', end] = /^\(\?([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest) ?? []
  // Go shows what it has read up to the first character that can't be there.
  if (found === undefined)
    return refuse('invalid or unsupported Perl syntax', /^\(\?[imsU]*(?:-[imsU]*)?[^]?/u.exec(rest)?.[0])
  const flag = (letter: string, before: boolean) =>
    !clear.includes(letter) && (set.includes(letter) || before)
  return {
    length: found.length,
    flags: {
      fold: flag('i', flags.fold),
      multiline: flag('m', flags.multiline),
      dotAll: flag('s', flags.dotAll),
    },
    isGroup: end === ':',
  }
}

/** Of `(?P<name>` or `(?<name>`. */
function nameLength(rest: string): number {
  const [found, name = ''] = /^\(\?P?<([^>]*)>/.exec(rest) ?? []
  if (found === undefined) return refuse('invalid named capture', rest)
  return /^\w+$/.test(name) ? found.length : refuse('invalid named capture', found)
}
