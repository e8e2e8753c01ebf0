// Matching without going back: from all places at which a part may begin to all at which it may end. No expression
// takes longer than its length times the text's, as with RE2. Pure.
import type { Characters } from './re2-classes.ts'

type Places = ReadonlySet<number>
/** Where matches end that begin at one of `from`. */
export type Matcher = (text: readonly number[], from: Places) => Places

export const emptyText: Matcher = (_text, from) => from

export const character =
  (set: Characters): Matcher =>
  (text, from) => {
    const ends = new Set<number>()
    for (const place of from) {
      const code = text[place]
      if (code !== undefined && set(code)) ends.add(place + 1)
    }
    return ends
  }

export const inOrder =
  (parts: readonly Matcher[]): Matcher =>
  (text, from) =>
    parts.reduce((places, part) => (places.size === 0 ? places : part(text, places)), from)

export const either =
  (parts: readonly Matcher[]): Matcher =>
  (text, from) =>
    parts.reduce<Places>((ends, part) => ends.union(part(text, from)), new Set())

export const repeated =
  (part: Matcher, min: number, max: number): Matcher =>
  (text, from) => {
    let places = from
    for (let i = 0; i < min && places.size > 0; i++) places = part(text, places)
    const ends = new Set(places)
    // Only from places that are new can new ones be reached.
    for (let i = min; i < max && places.size > 0; i++) {
      places = part(text, places).difference(ends)
      for (const place of places) ends.add(place)
    }
    return ends
  }

const NEWLINE = 10
const isWord = (code: number | undefined): boolean =>
  code !== undefined && code < 0x80 && /\w/.test(String.fromCodePoint(code))

const isEdge = (text: readonly number[], place: number): boolean =>
  isWord(text[place - 1]) !== isWord(text[place])

const WHERE = {
  start: (_text: readonly number[], place: number) => place === 0,
  end: (text: readonly number[], place: number) => place === text.length,
  'line start': (text: readonly number[], place: number) => place === 0 || text[place - 1] === NEWLINE,
  'line end': (text: readonly number[], place: number) => place === text.length || text[place] === NEWLINE,
  'word edge': isEdge,
  'no word edge': (text: readonly number[], place: number) => !isEdge(text, place),
} as const

export type Where = keyof typeof WHERE

/** Matches nothing, at certain places. */
export const at =
  (where: Where): Matcher =>
  (text, from) =>
    new Set([...from].filter((place) => WHERE[where](text, place)))
