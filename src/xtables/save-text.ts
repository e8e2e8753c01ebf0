// The text of iptables-save, read: tables, chains in their order, rules as they are printed. Rules of others stay text
// that nobody touches. Pure.
import { XtablesError } from './error.ts'
import { quote } from './rule-text.ts'

export interface SavedTable {
  /** In the order of iptables-save: builtin chains come first. */
  readonly chains: ReadonlyMap<string, SavedChain>
}
export interface SavedChain {
  /** Only builtin chains have a policy. */
  readonly isBuiltin: boolean
  /** In order, each as it is printed behind `-A name `. */
  readonly rules: readonly string[]
}

/** By the names of the tables. Throws XtablesError `unreadable` where a table is not all there. */
export function parseSave(text: string): ReadonlyMap<string, SavedTable> {
  const tables = new Map<string, SavedTable>()
  let name: string | undefined
  let chains = new Map<string, SavedChain & { rules: string[] }>()
  for (const line of logicalLines(text)) {
    if (line === '' || line.startsWith('#')) continue
    if (name === undefined) {
      if (!line.startsWith('*')) throw unreadable(line)
      name = line.slice(1).trim()
      chains = new Map()
    } else if (line === 'COMMIT') {
      tables.set(name, { chains })
      name = undefined
    } else if (line.startsWith(':')) {
      const [chain = '', policy = ''] = line.slice(1).split(' ')
      chains.set(chain, { isBuiltin: policy !== '-', rules: [] })
    } else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3)
      const rules = chains.get(line.slice(3, end < 0 ? undefined : end))?.rules
      if (rules === undefined) throw unreadable(line)
      rules.push(end < 0 ? '' : line.slice(end + 1))
    } else throw unreadable(line)
  }
  if (name !== undefined)
    throw new XtablesError('unreadable', `iptables-save broke off in table ${name}: no COMMIT`)
  return tables
}

const unreadable = (line: string): XtablesError =>
  new XtablesError('unreadable', `iptables-save printed a line that can't be read: ${JSON.stringify(line)}`)

/** Lines; one that ends inside quotes (a comment with a newline) goes on in the next. */
function* logicalLines(text: string): Generator<string> {
  let open = ''
  for (const line of text.split('\n')) {
    const whole = open + line
    if (line.startsWith('#') && open === '') yield line
    else if (whole.includes('"') && !isClosed(whole)) open = `${whole}\n`
    else {
      yield whole
      open = ''
    }
  }
  if (open !== '') yield open
}

function isClosed(text: string): boolean {
  let quoted = false
  for (let i = 0; i < text.length; i++)
    if (quoted && text[i] === '\\') i++
    else if (text[i] === '"') quoted = !quoted
  return !quoted
}

/** A rule's words as iptables-restore takes them: in double quotes, where a backslash takes the next one literally. */
export function words(rule: string): string[] {
  const found: string[] = []
  let word: string | undefined
  let quoted = false
  for (let i = 0; i < rule.length; i++) {
    const char = rule[i] ?? ''
    if (quoted && char === '\\') word += rule[++i] ?? ''
    else if (char === '"') {
      quoted = !quoted
      word ??= ''
    } else if (!quoted && (char === ' ' || char === '\t')) {
      if (word !== undefined) found.push(word)
      word = undefined
    } else word = (word ?? '') + char
  }
  if (word !== undefined) found.push(word)
  return found
}

/** A rule in the one spelling that `ruleText` has: iptables before 1.8 quotes each comment. */
export const spelled = (rule: string): string => {
  const all = words(rule)
  return all
    .map((word, i) => (all[i - 1] === '--comment' || !/^[^\s"'\\]+$/.test(word) ? quote(word) : word))
    .join(' ')
}
