// Colour where a person looks at a terminal and has not asked for none (https://no-color.org), and aligned columns.
import { stripVTControlCharacters, styleText } from 'node:util'

export const coloured = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'

export interface Style {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}

export function styleFor(stream: NodeJS.WriteStream): Style {
  const paint = (format: 'green' | 'red' | 'dim' | 'bold') =>
    coloured(stream)
      ? (text: string) => styleText(format, text, { validateStream: false })
      : (text: string) => text
  return { good: paint('green'), bad: paint('red'), dim: paint('dim'), bold: paint('bold') }
}

const width = (text: string): number => stripVTControlCharacters(text).length

/** Rows in aligned columns, two blanks apart and indented; the first row may be a heading. */
export function columns(rows: readonly (readonly string[])[], indent = '  '): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, width(cell))
  return rows
    .map((row) =>
      `${indent}${row.map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - width(cell))).join('  ')}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}
