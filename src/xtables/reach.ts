// Which rules of a builtin chain packets get to: a rule that matches everything and lets nothing past is a wall. Pure.
import { words, type SavedChain, type SavedTable } from './save-text.ts'

/** Where a rule sends what it matches, and whether it matches everything. */
export interface Way {
  readonly how: 'jump' | 'goto'
  readonly to: string
  readonly always: boolean
}

/** Undefined for a rule without a target, which only counts. A comment is no condition. */
export function wayOf(rule: string): Way | undefined {
  const all = words(rule)
  let always = true
  for (let i = 0; i < all.length; i++) {
    const word = all[i] ?? ''
    const to = all[i + 1]
    if ((word === '-j' || word === '-g') && to !== undefined)
      return { how: word === '-j' ? 'jump' : 'goto', to, always }
    if (word === '-m' && to === 'comment') i++
    else if (word === '--comment') i++
    else always = false
  }
  return undefined
}

/** The chains that decide whether a packet comes to the end of this one. */
export function* waysThrough({ rules }: SavedChain): Generator<string, void, undefined> {
  for (const rule of rules) {
    const way = wayOf(rule)
    const isOther = way !== undefined && way.to !== 'RETURN' && !TERMINAL.has(way.to)
    if (isOther && (way.always || way.how === 'goto')) yield way.to
  }
}

/** Targets that end a packet's way through the chains of a table (iptables-extensions(8)). */
const TERMINAL: ReadonlySet<string> = new Set([
  'ACCEPT',
  'DROP',
  'REJECT',
  'QUEUE',
  'NFQUEUE',
  'MASQUERADE',
  'SNAT',
  'DNAT',
  'REDIRECT',
  'NETMAP',
  'TPROXY',
  'SYNPROXY',
])

/** Index of the first rule of a builtin chain that lets nothing past; undefined where packets reach its end. */
export function firstWall(table: SavedTable, chain: string): number | undefined {
  const rules = table.chains.get(chain)?.rules ?? []
  const at = rules.findIndex((rule) => isWall(table, rule))
  return at < 0 ? undefined : at
}

/** Whoever returns from a builtin chain, or from where it was sent by goto, meets the chain's policy. */
function isWall(table: SavedTable, rule: string): boolean {
  const way = wayOf(rule)
  if (way === undefined || !way.always) return false
  if (way.how === 'goto' || way.to === 'RETURN') return true
  return endsAt(table, way.to, new Set())
}

/** Whether nothing comes back from a target: a terminal one, or a chain that ends with one on each way through it. */
function endsAt(table: SavedTable, target: string, entered: ReadonlySet<string>): boolean {
  const chain = table.chains.get(target)
  if (chain === undefined) return TERMINAL.has(target)
  if (entered.has(target)) return false
  const within = new Set([...entered, target])
  for (const rule of chain.rules) {
    const way = wayOf(rule)
    if (way === undefined) continue
    const returns = way.to === 'RETURN'
    // Under a condition, a jump either ends the packet's way or comes back to the next rule.
    if (!way.always && !returns && way.how === 'jump') continue
    const ends = !returns && endsAt(table, way.to, within)
    if (way.always && (ends || returns || way.how === 'goto')) return ends
    if (!way.always && !ends) return false
  }
  return false
}
