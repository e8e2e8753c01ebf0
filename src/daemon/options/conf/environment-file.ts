// A file of NAME=value lines as systemd reads an EnvironmentFile (systemd.exec(5), src/basic/env-file.c), `export`
// before a name besides. What systemd skips in silence is a mistake here: a line without =, a quote left open. Pure.
import { Mistake } from './mistake.ts'

export interface Assignment {
  readonly name: string
  /** Of the name in the file. */
  readonly offset: number
  readonly value: string
  /** Offset in the file of each UTF-16 unit of the value, and of its end. */
  readonly at: readonly number[]
}

export interface EnvironmentFile {
  /** In their order, equal names too: the last of them counts. */
  readonly assignments: readonly Assignment[]
  /** Offsets of # that look like a comment and are none; the first of each value. */
  readonly falseComments: readonly number[]
}

/** Throws Mistake. */
export function parseEnvironmentFile(text: string): EnvironmentFile {
  return new Reader(text).read()
}

const isBlank = (c: string | undefined): boolean => c === ' ' || c === '\t'
const isNewline = (c: string | undefined): boolean => c === '\n' || c === '\r'

class Reader {
  readonly #text: string
  #offset = 0
  #value = ''
  #at: number[] = []
  readonly #falseComments: number[] = []

  constructor(text: string) {
    this.#text = text
  }

  read(): EnvironmentFile {
    const assignments: Assignment[] = []
    for (;;) {
      while (isBlank(this.#next) || isNewline(this.#next)) this.#offset++
      if (this.#next === undefined) return { assignments, falseComments: this.#falseComments }
      if (this.#next === '#' || this.#next === ';') this.#offset = this.#endOfLine()
      else assignments.push(this.#assignment())
    }
  }

  get #next(): string | undefined {
    return this.#text[this.#offset]
  }

  #endOfLine(): number {
    const found = this.#text.slice(this.#offset).search(/[\r\n]/)
    return found < 0 ? this.#text.length : this.#offset + found
  }

  #assignment(): Assignment {
    const line = this.#text.slice(this.#offset, this.#endOfLine())
    const [, before = '', name = ''] = /^(export[ \t]+)?([^=]*?)[ \t]*(?:=|$)/.exec(line) ?? []
    const offset = this.#offset + before.length
    if (/^[{}["\]]/.test(name))
      throw new Mistake(
        offset,
        `${name[0]} begins no line of an environment file, as this one is by its beginning: write either NAME=value lines or one JSON object`,
      )
    const equals = line.indexOf('=')
    if (equals < 0) throw new Mistake(offset, 'there is no = in this line: want NAME=value')
    if (!/^[A-Za-z_]\w*$/.test(name))
      throw new Mistake(offset, 'there is no name before the =: want letters, digits and _')
    this.#offset += equals + 1
    this.#value = ''
    this.#at = []
    this.#readValue()
    return { name, offset, value: this.#value, at: [...this.#at, this.#offset] }
  }

  /** Quoted parts, blanks between them left out; then, if anything else comes, all up to the end of the line. */
  #readValue(): void {
    for (;;) {
      while (isBlank(this.#next)) this.#offset++
      if (this.#next === "'") this.#single()
      else if (this.#next === '"') this.#double()
      else if (this.#next === undefined || isNewline(this.#next)) return
      else return this.#bare()
    }
  }

  #take(): void {
    this.#value += this.#next ?? ''
    this.#at.push(this.#offset++)
  }

  /** Passes a backslash and the newline behind it. */
  #continueLine(): void {
    this.#offset += this.#text.startsWith('\r\n', this.#offset + 1) ? 3 : 2
  }

  #single(): void {
    const opened = this.#offset++
    while (this.#next !== "'") {
      if (this.#next === undefined) throw new Mistake(opened, "this ' is never closed")
      this.#take()
    }
    this.#offset++
  }

  #double(): void {
    const opened = this.#offset++
    while (this.#next !== '"') {
      if (this.#next === undefined) throw new Mistake(opened, 'this " is never closed')
      const behind = this.#text[this.#offset + 1]
      if (this.#next === '\\' && isNewline(behind)) this.#continueLine()
      else {
        if (this.#next === '\\' && behind !== undefined && '"\\`$'.includes(behind)) this.#offset++
        this.#take()
      }
    }
    this.#offset++
  }

  #bare(): void {
    let kept = this.#value.length
    let falseComment: number | undefined
    while (this.#next !== undefined && !isNewline(this.#next)) {
      const behind = this.#text[this.#offset + 1]
      if (this.#next === '\\' && isNewline(behind)) {
        this.#continueLine()
        continue
      }
      if (this.#next === '#' && isBlank(this.#text[this.#offset - 1])) falseComment ??= this.#offset
      const isEscaped = this.#next === '\\' && behind !== undefined
      if (isEscaped) this.#offset++
      const isKept = isEscaped || !isBlank(this.#next)
      this.#take()
      if (isKept) kept = this.#value.length
    }
    this.#value = this.#value.slice(0, kept)
    this.#at.length = kept
    if (falseComment !== undefined) this.#falseComments.push(falseComment)
  }
}
