// Go's regular expressions (regexp/syntax with its Perl flags, the RE2 dialect): what upstream takes for
// --iface-regex is read as Go reads it, what Go refuses is refused in its words. Pure.
import { readBracket } from './re2-bracket.ts'
import { caseFolded, type Characters } from './re2-classes.ts'
import { escapedCharacter, escapedSet, Refusal, refuse } from './re2-escapes.ts'
import { readGroup, type Flags } from './re2-groups.ts'
import { at, character, either, emptyText, inOrder, repeated, type Matcher, type Where } from './re2-match.ts'

/** Of x{n,m}, and of all such repetitions within one another. */
const MOST_REPEATS = 1000
const DEEPEST = 1000

/** Whether the expression matches anywhere in a text; a sentence if it is none. */
export function compileRe2(expression: string): ((text: string) => boolean) | string {
  try {
    const matches = new Parser(expression).parse()
    return (text) => {
      const characters = Array.from(text, (c) => c.codePointAt(0) ?? 0)
      const anywhere = new Set(Array.from({ length: characters.length + 1 }, (_, i) => i))
      return matches(characters, anywhere).size > 0
    }
  } catch (error) {
    if (error instanceof Refusal) return error.message
    throw error
  }
}

const EDGES: ReadonlyMap<string, Where> = new Map([
  ['\\A', 'start'],
  ['\\z', 'end'],
  ['\\b', 'word edge'],
  ['\\B', 'no word edge'],
] as const)

interface Piece {
  readonly matches: Matcher
  /** Product of the counts of repetitions within one another. */
  readonly repeats: number
}

interface Group {
  /** To go back to when it ends. */
  readonly flags: Flags
  readonly alternatives: Piece[][]
}

const mostRepeats = (pieces: readonly Piece[]): number =>
  pieces.reduce((most, { repeats }) => Math.max(most, repeats), 1)

const sequence = (pieces: readonly Piece[]): Piece => ({
  matches: pieces.length === 0 ? emptyText : inOrder(pieces.map((p) => p.matches)),
  repeats: mostRepeats(pieces),
})

const pieceOf = ({ alternatives }: Group): Piece => {
  const pieces = alternatives.map(sequence)
  const [only, ...more] = pieces
  if (only !== undefined && more.length === 0) return only
  return { matches: either(pieces.map((p) => p.matches)), repeats: mostRepeats(pieces) }
}

class Parser {
  readonly #whole: string
  /** What is still to be read. */
  #rest: string
  #flags: Flags = { fold: false, multiline: false, dotAll: false }
  readonly #open: Group[] = [{ flags: this.#flags, alternatives: [[]] }]
  /** From the last repetition operator on, if nothing came after it. */
  #lastRepeat: string | undefined

  constructor(expression: string) {
    this.#whole = expression
    this.#rest = expression
  }

  parse(): Matcher {
    while (this.#rest !== '') {
      const repeat = this.#next()
      this.#lastRepeat = repeat
    }
    const [outermost, ...unclosed] = this.#open
    if (outermost === undefined || unclosed.length > 0) return refuse('missing closing )', this.#whole)
    return pieceOf(outermost).matches
  }

  /** Reads one element; what was left before it if it is a repetition operator. */
  #next(): string | undefined {
    const rest = this.#rest
    switch (rest[0]) {
      case '(':
        this.#openGroup()
        return undefined
      case ')':
        this.#closeGroup()
        return undefined
      case '|':
        this.#skip(1)
        this.#group.alternatives.push([])
        return undefined
      case '^':
        this.#skip(1)
        this.#push(at(this.#flags.multiline ? 'line start' : 'start'))
        return undefined
      case '$':
        this.#skip(1)
        this.#push(at(this.#flags.multiline ? 'line end' : 'end'))
        return undefined
      case '.':
        this.#skip(1)
        this.#push(character(this.#flags.dotAll ? () => true : (c) => c !== 10))
        return undefined
      case '[': {
        const { set, length } = readBracket(rest, this.#flags.fold)
        this.#skip(length)
        this.#push(character(set))
        return undefined
      }
      case '\\':
        this.#escape()
        return undefined
      case '*':
      case '+':
      case '?':
        this.#skip(1)
        this.#repeat(rest, rest[0] === '+' ? 1 : 0, rest[0] === '?' ? 1 : Infinity)
        return rest
      case '{':
        return this.#count() ? rest : undefined
      default:
        this.#literal(this.#take())
        return undefined
    }
  }

  get #group(): Group {
    const group = this.#open.at(-1)
    if (group === undefined) return refuse('unexpected )', this.#whole)
    return group
  }
  get #pieces(): Piece[] {
    return this.#group.alternatives.at(-1) ?? []
  }
  #push(matches: Matcher): void {
    this.#pieces.push({ matches, repeats: 1 })
  }
  #literal(code: number): void {
    this.#push(character(caseFolded((c) => c === code, this.#flags.fold)))
  }
  #skip(length: number): void {
    this.#rest = this.#rest.slice(length)
  }
  /** The next character. */
  #take(): number {
    const code = this.#rest.codePointAt(0) ?? 0
    this.#skip(code > 0xffff ? 2 : 1)
    return code
  }

  #openGroup(): void {
    const { length, flags, isGroup } = readGroup(this.#rest, this.#flags)
    this.#skip(length)
    if (isGroup) {
      if (this.#open.length > DEEPEST) refuse('expression nests too deeply', this.#whole)
      this.#open.push({ flags: this.#flags, alternatives: [[]] })
    }
    this.#flags = flags
  }

  #closeGroup(): void {
    if (this.#open.length === 1) refuse('unexpected )', this.#whole)
    const group = this.#group
    this.#open.pop()
    this.#flags = group.flags
    this.#pieces.push(pieceOf(group))
    this.#skip(1)
  }

  /** `{n}`, `{n,}`, `{n,m}`; false for a `{` that is none of them and stands for itself. */
  #count(): boolean {
    const before = this.#rest
    const [found, least, comma, most] = /^\{(0|[1-9]\d*)(?:(,)(0|[1-9]\d*)?)?\}/.exec(before) ?? []
    if (found === undefined) {
      this.#literal(this.#take())
      return false
    }
    const min = Number(least)
    const max = comma === undefined ? min : most === undefined ? Infinity : Number(most)
    if (min > MOST_REPEATS || (max > MOST_REPEATS && max !== Infinity) || min > max)
      refuse('invalid repeat count', found)
    this.#skip(found.length)
    this.#repeat(before, min, max, true)
    return true
  }

  /** `before` is the expression from the operator on. Lazy or greedy is all one where nothing is captured. */
  #repeat(before: string, min: number, max: number, isCount = false): void {
    if (this.#rest.startsWith('?')) this.#skip(1)
    const read = (from: string) => from.slice(0, from.length - this.#rest.length)
    if (this.#lastRepeat !== undefined) refuse('invalid nested repetition operator', read(this.#lastRepeat))
    const piece = this.#pieces.pop()
    if (piece === undefined) return refuse('missing argument to repetition operator', read(before))
    const times = isCount ? (max === Infinity ? min : max) : 1
    const repeats = max === 0 ? 1 : Math.max(1, times) * piece.repeats
    if (times >= 2 && repeats > MOST_REPEATS) refuse('invalid repeat count', read(before))
    this.#pieces.push({ matches: repeated(piece.matches, min, max), repeats })
  }

  #escape(): void {
    const where = EDGES.get(this.#rest.slice(0, 2))
    if (where !== undefined) {
      this.#skip(2)
      this.#push(at(where))
    } else if (this.#rest.startsWith('\\Q')) this.#quoted()
    else {
      const set = this.#escapedSet()
      if (set === undefined) this.#literal(this.#escapedCharacter())
      else this.#push(character(set))
    }
  }

  #quoted(): void {
    const [text = ''] = this.#rest.slice(2).split('\\E', 1)
    this.#skip(2 + text.length + 2)
    for (const c of text) this.#literal(c.codePointAt(0) ?? 0)
  }

  #escapedSet(): Characters | undefined {
    const found = escapedSet(this.#rest, this.#flags.fold)
    if (found === undefined) return undefined
    this.#skip(found.length)
    return found.set
  }
  #escapedCharacter(): number {
    const { code, length } = escapedCharacter(this.#rest)
    this.#skip(length)
    return code
  }
}
