// Something wrong at a place of a text, and where that place is for people. Pure.

/** `offset` counts UTF-16 units of the text; the message says what is wrong there. */
export class Mistake extends Error {
  readonly code = 'mistake'
  override readonly name = 'Mistake'
  readonly offset: number
  constructor(offset: number, message: string) {
    super(message)
    this.offset = offset
  }
}

/** Both counted from 1; columns are characters. Lines end in LF, CR LF or CR. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split(/\r\n|[\r\n]/)
  return { line: before.length, column: Array.from(before.at(-1) ?? '').length + 1 }
}
