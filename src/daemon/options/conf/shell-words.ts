// Splits text into words as a shell does, with its quotes and backslashes, and without its expansions. Pure.
import { Mistake } from './mistake.ts'

export interface Word {
  readonly text: string
  /** Where it begins, in UTF-16 units. */
  readonly offset: number
}

/** Throws Mistake. */
export function splitWords(text: string): Word[] {
  const words: Word[] = []
  let word: { text: string; offset: number } | undefined
  let quote: { mark: string; offset: number } | undefined
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i)
    if (quote === undefined && /\s/.test(c)) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    word ??= { text: '', offset: i }
    if (quote !== undefined && c === quote.mark) quote = undefined
    else if (quote === undefined && (c === '"' || c === "'")) quote = { mark: c, offset: i }
    else if (c === '\\' && quote?.mark !== "'") {
      const behind = text[++i]
      if (behind === undefined) throw new Mistake(i - 1, 'there is nothing behind this \\')
      const isEscape = quote === undefined || '"\\`$\n'.includes(behind)
      word.text += `${isEscape ? '' : c}${isEscape && behind === '\n' ? '' : behind}`
    } else word.text += c
  }
  if (quote !== undefined) throw new Mistake(quote.offset, `this ${quote.mark} is never closed`)
  if (word !== undefined) words.push(word)
  return words
}
