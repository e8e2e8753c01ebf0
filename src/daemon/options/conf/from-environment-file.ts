// Options from a conf file in the form of an environment file: FLANNELD_*, and what distributions' start scripts make
// flags of (Fedora's /usr/bin/flanneld-start: FLANNEL_ETCD_ENDPOINTS or FLANNEL_ETCD, FLANNEL_ETCD_PREFIX or
// FLANNEL_ETCD_KEY, and behind them FLANNEL_OPTIONS). Pure.
import { closest } from '../closest.ts'
import { parseEnvironmentFile, type Assignment } from './environment-file.ts'
import { parseGoFlags } from '../go-flags.ts'
import { invalid, parseFlagValue } from '../go-values.ts'
import { Mistake, placeOf } from './mistake.ts'
import { environmentName, placeText, type Option, type Place, type Setting } from '../option.ts'
import { splitWords } from './shell-words.ts'
import { collect, type Source } from '../sources.ts'
import { OPTIONS } from '../table.ts'

const WORDS = 'FLANNEL_OPTIONS'
/** The stronger behind the weaker, as the start script has it. */
export const DISTRIBUTIONS: ReadonlyMap<string, string> = new Map([
  ['FLANNEL_ETCD', 'etcd-endpoints'],
  ['FLANNEL_ETCD_KEY', 'etcd-prefix'],
  ['FLANNEL_ETCD_ENDPOINTS', 'etcd-endpoints'],
  ['FLANNEL_ETCD_PREFIX', 'etcd-prefix'],
])

/** Throws Mistake. */
export function fromEnvironmentFile(file: string, text: string): Source {
  const { assignments, falseComments } = parseEnvironmentFile(text)
  const placeAt = (offset: number): Place => ({ file, ...placeOf(text, offset) })
  const flags = new Map(OPTIONS.map((option) => [environmentName(option.name), option.name]))
  const ranked = [...flags, ...DISTRIBUTIONS]
  const known = [...ranked.map(([name]) => name), WORDS]
  const last = new Map<string, Assignment>()
  for (const assignment of assignments) {
    if (!known.includes(assignment.name)) throw unknown(assignment, known)
    last.set(assignment.name, assignment)
  }
  const settings = new Map<string, Setting>()
  for (const [name, flag] of ranked) {
    const given = last.get(name)
    const option = OPTIONS.find((option) => option.name === flag)
    // An empty one counts as none, as in the environment.
    if (given === undefined || option === undefined || given.value === '') continue
    requireAllowed(option, given.offset, name)
    const value = parseFlagValue(option, given.value)
    if (value === undefined)
      throw new Mistake(given.at[0] ?? given.offset, `${name}: ${invalid(option, given.value)}`)
    settings.set(flag, { value, origin: { kind: 'file', name, place: placeAt(given.offset) } })
  }
  const words = last.get(WORDS)
  if (words !== undefined)
    for (const [flag, setting] of fromWords(words, placeAt)) settings.set(flag, setting)
  const notes = falseComments.map((offset) => ({
    level: 'warning' as const,
    text: `${placeText(placeAt(offset))}: this # and all behind it is part of the value; a comment has a line of its own`,
  }))
  return { settings, notes }
}

function unknown({ name, offset }: Assignment, known: readonly string[]): Mistake {
  const near = closest(name, known)
  const meant = near === undefined ? `want FLANNELD_<FLAG> or ${WORDS}` : `did you mean ${near}?`
  return new Mistake(offset, `flanneld knows no ${name}; ${meant}`)
}

export function requireAllowed(option: Option, offset: number, name: string): void {
  if (option.only !== undefined)
    throw new Mistake(offset, `${name} can't be given in a file: it is a ${option.only} only`)
}

/** The flags among the words of FLANNEL_OPTIONS. */
function fromWords(words: Assignment, placeAt: (offset: number) => Place): Source['settings'] {
  const inFile = (offset: number) => words.at[offset] ?? words.offset
  try {
    const split = splitWords(words.value)
    const offsetOf = (word: number) => split[word]?.offset ?? 0
    const texts = split.map((word) => word.text)
    const line = parseGoFlags(OPTIONS, texts)
    if (line.kind === 'mistake') throw new Mistake(offsetOf(line.word), line.reason)
    if (line.kind === 'help') throw new Mistake(0, "--help can't be given in a file")
    if (line.unread < split.length)
      throw new Mistake(
        offsetOf(line.unread),
        'this word is no flag; a boolean flag takes a value only with =',
      )
    for (const { name, word } of line.given) {
      const option = OPTIONS.find((option) => option.name === name)
      if (option !== undefined) requireAllowed(option, offsetOf(word), `--${name}`)
    }
    return collect(line.given, ({ name, word }) => ({
      kind: 'file',
      name: `--${name} in ${WORDS}`,
      place: placeAt(inFile(offsetOf(word))),
    }))
  } catch (error) {
    if (error instanceof Mistake) throw new Mistake(inFile(error.offset), error.message)
    throw error
  }
}
