// A chain of ours in the text of iptables: read out of what is saved, and the lines that put or remove it. Pure.
import type { IptablesChain } from '../model/kernel.ts'
import { firstWall, waysThrough, wayOf } from './reach.ts'
import { spelled, type SavedChain, type SavedTable } from './save-text.ts'

type Place = Pick<IptablesChain, 'flavour' | 'family' | 'table' | 'name'>
type From = IptablesChain['jump']['from']

/** The chain as it is, undefined where there is none. Jumps to it that have a condition are others', and don't count. */
export function chainIn(saved: SavedTable, place: Place, from: From): IptablesChain | undefined {
  const chain = saved.chains.get(place.name)
  if (chain === undefined) return undefined
  const jumps = jumpsIn(saved, place.name, from)
  const wall = firstWall(saved, from)
  const [first] = jumps
  const awry =
    first === undefined
      ? `nothing in ${from} leads to it`
      : jumps.length > 1
        ? `${jumps.length} rules of ${from} lead to it`
        : wall !== undefined && wall < first.index
          ? `rule ${wall + 1} of ${from} lets nothing through to rule ${first.index + 1}, which leads to it`
          : undefined
  return {
    kind: 'iptables-chain',
    flavour: place.flavour,
    family: place.family,
    table: place.table,
    name: place.name,
    rules: chain.rules.map(spelled),
    jump: { from, rule: first === undefined ? '' : spelled(first.rule) },
    ...(awry === undefined ? {} : { awry }),
  }
}

/** What of a table `chainIn` and `putLines` look at: the chain, the one that leads to it and all that lies on the way. */
export function partOf(saved: SavedTable, name: string, from: From): SavedTable {
  const names = new Set<string>([name, from])
  const chains = new Map<string, SavedChain>()
  for (const each of names) {
    const chain = saved.chains.get(each)
    if (chain === undefined) continue
    chains.set(each, chain)
    for (const next of waysThrough(chain)) names.add(next)
  }
  return { chains }
}

/** The rules of a builtin chain that send everything into a chain. */
function jumpsIn(saved: SavedTable, name: string, from: From): { index: number; rule: string }[] {
  const rules = saved.chains.get(from)?.rules ?? []
  return rules.flatMap((rule, index) => {
    const way = rule.includes(name) ? wayOf(rule) : undefined
    return way?.to === name && way.always ? [{ index, rule }] : []
  })
}

/**
 * Lines for iptables-restore --noflush: the chain is emptied and filled, and its jump put right if it isn't. A jump goes
 * to the end; where that isn't reached, right before what lets nothing through. Of a table that isn't there, `saved` is
 * undefined.
 */
export function putLines(saved: SavedTable | undefined, want: IptablesChain): string[] {
  const { name, jump, rules } = want
  const have = saved && chainIn(saved, want, jump.from)
  const isGood = have !== undefined && have.awry === undefined && have.jump.rule === jump.rule
  return [
    `:${name} - [0:0]`,
    ...rules.map((rule) => `-A ${name} ${rule}`),
    ...(isGood ? [] : jumpLines(saved, want)),
  ]
}

function jumpLines(saved: SavedTable | undefined, { name, jump }: IptablesChain): string[] {
  if (saved === undefined) return [`-A ${jump.from} ${jump.rule}`]
  const jumps = jumpsIn(saved, name, jump.from)
  const gone = new Set(jumps.map(({ index }) => index))
  const rest = (saved.chains.get(jump.from)?.rules ?? []).filter((_, index) => !gone.has(index))
  const wall = firstWall(
    { chains: new Map([...saved.chains, [jump.from, { isBuiltin: true, rules: rest }]]) },
    jump.from,
  )
  return [
    ...jumps.map(({ rule }) => `-D ${jump.from} ${rule}`),
    wall === undefined ? `-A ${jump.from} ${jump.rule}` : `-I ${jump.from} ${wall + 1} ${jump.rule}`,
  ]
}

/** Lines that remove the chain: first whatever leads to it, also what others wrote; none where it isn't there. */
export function removeLines(saved: SavedTable, name: string): string[] {
  if (!saved.chains.has(name)) return []
  const leads: string[] = []
  for (const [from, { rules }] of saved.chains)
    for (const rule of rules)
      if (from !== name && rule.includes(name) && wayOf(rule)?.to === name) leads.push(`-D ${from} ${rule}`)
  return [...leads, `-F ${name}`, `-X ${name}`]
}
