// JSON text as a tree that knows where each part is. Pure. It loads a parser, so it is imported only where a conf
// file is JSON.
import { parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser'
import type { Json } from '../../../model/lease.ts'
import { Mistake } from './mistake.ts'

export interface Member {
  readonly name: string
  /** Of the name. */
  readonly offset: number
  readonly value: Node
}
export type { Node } from 'jsonc-parser'

/** Deeper than anything that is meant, and shallow enough for the parser, which calls itself. */
const MOST_DEEP = 50

const PROBLEMS: Readonly<Record<ReturnType<typeof printParseErrorCode>, string>> = {
  InvalidSymbol: 'this is no JSON; names and texts are in double quotes',
  InvalidNumberFormat: 'this is no number',
  PropertyNameExpected: 'want a name in double quotes here',
  ValueExpected: 'want a value here',
  ColonExpected: 'want a : here',
  CommaExpected: 'want a , here',
  CloseBraceExpected: 'want a } here',
  CloseBracketExpected: 'want a ] here',
  EndOfFileExpected: 'there is more behind the end of the JSON object',
  InvalidCommentToken: 'JSON has no comments',
  UnexpectedEndOfComment: 'JSON has no comments',
  UnexpectedEndOfString: 'this text has no " at its end',
  UnexpectedEndOfNumber: 'this is no number',
  InvalidUnicode: 'this text has a \\u without four hexadecimal digits',
  InvalidEscapeCharacter: 'this text has a \\ before a letter that means nothing there; \\\\ is a backslash',
  InvalidCharacter: 'this text has a control character in it',
  '<unknown ParseErrorCode>': 'this is no JSON',
}

/** The one object that the text is. Throws Mistake. */
export function parseJsonObject(text: string): Node {
  requireShallow(text)
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false })
  const [first] = errors
  if (first !== undefined) {
    const isBehind = root !== undefined && first.offset >= root.offset + root.length && root.length > 1
    const problem =
      isBehind && !isOpen(errors) ? PROBLEMS.EndOfFileExpected : PROBLEMS[printParseErrorCode(first.error)]
    throw new Mistake(first.offset, problem)
  }
  if (root?.type !== 'object') throw new Mistake(root?.offset ?? 0, 'want one JSON object')
  return root
}

const isOpen = (errors: readonly ParseError[]): boolean =>
  errors.some(({ error }) => printParseErrorCode(error).startsWith('CloseBra'))

function requireShallow(text: string): void {
  let depth = 0
  let isInText = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '"') isInText = !isInText
    else if (isInText && c === '\\') i++
    else if (c === '\n') isInText = false
    else if (!isInText && (c === '{' || c === '[')) depth++
    else if (!isInText && (c === '}' || c === ']')) depth--
    if (depth > MOST_DEEP) throw new Mistake(i, `this is nested deeper than ${MOST_DEEP} levels`)
  }
}

export const membersOf = (object: Node): Member[] =>
  (object.children ?? []).flatMap(({ children: [name, value] = [] }) =>
    name === undefined || value === undefined
      ? []
      : [{ name: String(name.value), offset: name.offset, value }],
  )

export const valueOf = (text: string, { offset, length }: Node): Json =>
  JSON.parse(text.slice(offset, offset + length)) as Json

const CALLED: Readonly<Record<Node['type'], string>> = {
  object: 'an object',
  array: 'an array',
  property: 'a property',
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
}
/** What a value is, in words that tell nothing of it. */
export const called = (node: Node): string => CALLED[node.type]
