// Changes of chains of one iptables: read what is there, one iptables-restore for all of them, and a look at what became
// of it. Others may write in between; then it is done again.
import type { IptablesChain } from '../../model/kernel.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { putLines, removeLines } from '../../xtables/chain-text.ts'
import { XtablesError } from '../../xtables/error.ts'
import { restore, saveChains, saveTables, type TableName } from '../../xtables/iptables.ts'
import type { SavedTable } from '../../xtables/save-text.ts'
import { findTool, type Tool } from '../../xtables/tools.ts'
import { type Seen, seenIn } from './iptables-seen.ts'
import { done, failed, type Change, type Result } from '../carrier.ts'
import { iptablesChainKind } from '../kinds/iptables-chain.ts'
import { type Place, placeOfChain, toolName } from './iptables-place.ts'
import type { IptablesSight } from './iptables-sight.ts'

/** Tries before others who keep changing the same tables are told of. */
const TRIES = 3

export interface WorkPlace {
  readonly sight: IptablesSight
  readonly namespace: Namespace | undefined
  /** What was read of a place last. */
  readonly recall: (place: Place) => Seen | undefined
  /** Told what a place has from now on; undefined where nothing is left. */
  readonly learn: (place: Place, seen: Seen | undefined) => void
}
type ChainChange = Change<IptablesChain>

const chainOf = (change: ChainChange): IptablesChain => (change.op === 'put' ? change.want : change.have)
/** All of one flavour and family. One result for each, in order. Rejects where the signal ends it. */
export async function carryOut(
  changes: readonly ChainChange[],
  at: WorkPlace,
  signal: AbortSignal,
): Promise<readonly Result[]> {
  const [first] = changes
  if (first === undefined) return []
  const { flavour, family } = chainOf(first)
  const tool = await findTool(flavour, family, signal)
  if (tool === undefined)
    return changes.map(() => failed(`${toolName({ flavour, family })} is not installed on this host`))
  try {
    return await persistently(changes, tool, at, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof XtablesError)) throw error
    if (changes.length === 1) return [failed(error.message)]
    // One table's trouble is not another's.
    const results: Result[] = []
    for (const change of changes) results.push(...(await carryOut([change], at, signal)))
    return results
  }
}

async function persistently(
  changes: readonly ChainChange[],
  tool: Tool,
  at: WorkPlace,
  signal: AbortSignal,
): Promise<readonly Result[]> {
  for (let tries = 1; ; tries++)
    try {
      // What was read before may have been the trouble.
      await transact(changes, tool, tries === 1 ? at : { ...at, recall: () => undefined }, signal)
      const results = await check(changes, tool, at, signal)
      if (tries >= TRIES || results.every(({ kind }) => kind === 'done')) return results
    } catch (error) {
      signal.throwIfAborted()
      const isRace = error instanceof XtablesError && error.code === 'refused'
      if (!isRace || tries >= TRIES) throw error
    }
}

/** What changes need to know of their tables: whoever removes a chain, of all that leads to it. */
async function savedOf(
  changes: readonly ChainChange[],
  tool: Tool,
  { sight, namespace }: Pick<WorkPlace, 'sight' | 'namespace'>,
  signal: AbortSignal,
): Promise<ReadonlyMap<TableName, SavedTable>> {
  const whole: TableName[] = []
  const parts = new Map<TableName, SavedTable>()
  for (const [table, group] of Map.groupBy(changes, (change) => chainOf(change).table))
    if (tool.flavour === 'nf_tables' && group.every(({ op }) => op === 'put')) {
      const names = group.map(chainOf).flatMap(({ name, jump }) => [jump.from, name])
      const has = (name: string) => sight.hasChain({ ...tool, table }, name)
      parts.set(table, await saveChains(tool, table, names, has, signal, namespace))
    } else whole.push(table)
  return new Map([...parts, ...(await saveTables(tool, whole, signal, namespace))])
}

async function transact(
  changes: readonly ChainChange[],
  tool: Tool,
  at: WorkPlace,
  signal: AbortSignal,
): Promise<void> {
  const { sight, namespace, recall } = at
  // Read before, and nothing has changed since. Whoever removes a chain has to know of all that leads to it.
  const recalled = new Map(
    changes.map((change) => {
      const place = placeOfChain(chainOf(change))
      const seen = change.op === 'put' ? recall(place) : undefined
      return [change, seen?.imprint === sight.imprint(place) ? seen?.part : undefined]
    }),
  )
  const unknown = changes
    .filter((change) => recalled.get(change) === undefined)
    .filter((change) => sight.hasTable(chainOf(change)))
  const saved = await savedOf(unknown, tool, at, signal)
  const payload = new Map<TableName, string[]>()
  for (const change of changes) {
    const { table, name } = chainOf(change)
    const before = saved.get(table) ?? recalled.get(change)
    const lines =
      change.op === 'put'
        ? putLines(before, change.want)
        : before === undefined
          ? []
          : removeLines(before, name)
    if (lines.length > 0) payload.set(table, [...(payload.get(table) ?? []), ...lines])
  }
  if (payload.size > 0) await restore(tool, payload, signal, namespace)
}

/** What is there now; learnt, so that nobody need read it again. */
async function check(
  changes: readonly ChainChange[],
  tool: Tool,
  at: WorkPlace,
  signal: AbortSignal,
): Promise<readonly Result[]> {
  const { sight, learn } = at
  const imprints = changes.map((change) => sight.imprint(placeOfChain(chainOf(change))))
  const present = changes.filter((_, index) => imprints[index] !== undefined)
  const saved = await savedOf(present, tool, at, signal)
  return changes.map((change, index) => {
    const place = placeOfChain(chainOf(change))
    const seen = seenIn(saved.get(place.table), place, imprints[index])
    learn(place, seen)
    const chain = seen?.chain
    if (change.op === 'remove')
      return chain === undefined ? done : failed('it is there again: somebody puts it back')
    if (chain === undefined) return failed('it is gone again: somebody removes it')
    return iptablesChainKind.same(change.want, chain)
      ? done
      : failed(
          `${tool.flavour === 'nf_tables' ? tool.main : tool.save} shows it otherwise than it was written: ${differing(change.want, chain)}`,
        )
  })
}

function differing(want: IptablesChain, have: IptablesChain): string {
  if (have.awry !== undefined) return have.awry
  if (want.jump.rule !== have.jump.rule) return `${JSON.stringify(have.jump.rule)} in ${have.jump.from}`
  const index = want.rules.findIndex((rule, i) => rule !== have.rules[i])
  return index < 0
    ? `${have.rules.length} rules, not ${want.rules.length}`
    : `rule ${index + 1} is ${JSON.stringify(have.rules[index] ?? '')}, not ${JSON.stringify(want.rules[index])}`
}
