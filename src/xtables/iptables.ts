// One iptables at work: what it has saved, and transactions. The legacy one waits for the lock that all of its kind share
// (/run/xtables.lock) for as long as its signal lets it.
import type { IptablesChain } from '../model/kernel.ts'
import type { Namespace } from '../sys/namespace.ts'
import { XtablesError } from './error.ts'
import { waysThrough } from './reach.ts'
import { run } from './run.ts'
import { parseSave, type SavedChain, type SavedTable } from './save-text.ts'
import type { Tool } from './tools.ts'

export type TableName = IptablesChain['table']
type Saved = ReadonlyMap<TableName, SavedTable>

/**
 * These tables as iptables-save prints them. Legacy ones must be there: to ask would make them. Throws XtablesError:
 * `incompatible` where others wrote into an nf_tables table what iptables has no words for.
 */
export async function saveTables(
  tool: Tool,
  tables: readonly TableName[],
  signal: AbortSignal,
  namespace?: Namespace,
): Promise<Saved> {
  const [table] = tables
  if (table === undefined) return new Map()
  // One process, even if it prints a table more.
  const args = tables.length === 1 ? ['-t', table] : []
  const { status, stdout, stderr } = await run(tool.save, args, { signal, namespace })
  if (status !== 0) throw new XtablesError('refused', `${tool.save} ended with ${status}: ${stderr}`)
  const all = parseSave(stdout)
  return new Map(
    tables.map((name) => {
      const saved = all.get(name)
      if (saved === undefined)
        throw new XtablesError(
          'incompatible',
          `${tool.save} can't show table ${name}${/incompatible/.test(stdout) ? ': it holds rules that only nft has words for (nft list table)' : ''}`,
        )
      return [name, saved]
    }),
  )
}

/**
 * These chains of an nf_tables table with all that lies on the way through them, asked for one by one: the table may have
 * thousands of rules beside. `has` tells which chains there are: iptables calls others incompatible. Throws XtablesError as
 * `saveTables` does.
 */
export async function saveChains(
  tool: Tool,
  table: TableName,
  names: Iterable<string>,
  has: (name: string) => boolean,
  signal: AbortSignal,
  namespace?: Namespace,
): Promise<SavedTable> {
  const chains = new Map<string, SavedChain>()
  const open = new Set(names)
  for (const name of open) {
    if (!has(name)) continue
    const args = ['-t', table, '-S', name]
    const { status, stdout, stderr } = await run(tool.main, args, { signal, namespace })
    if (status !== 0)
      throw new XtablesError(
        /incompatible/.test(stderr) ? 'incompatible' : 'refused',
        `${tool.main} ${args.join(' ')} ended with ${status}: ${stderr}`,
      )
    // But for the first line it prints what iptables-save does.
    const head = stdout.replace(/^-P (\S+ \S+)|^-N (\S+)/, (_, builtin, own) => `:${builtin ?? `${own} -`}`)
    const chain = parseSave(`*${table}\n${head}COMMIT\n`).get(table)?.chains.get(name)
    if (chain === undefined) continue
    chains.set(name, chain)
    for (const next of waysThrough(chain)) open.add(next)
  }
  return { chains }
}

/** Lines for iptables-restore by table. Each table changes at once, or not at all. */
type Payload = ReadonlyMap<TableName, readonly string[]>

/** Everything that isn't in the payload stays. Throws XtablesError `refused` with what it says. */
export async function restore(
  tool: Tool,
  payload: Payload,
  signal: AbortSignal,
  namespace?: Namespace,
): Promise<void> {
  const input = [...payload].flatMap(([table, lines]) => [`*${table}`, ...lines, 'COMMIT', '']).join('\n')
  const args = ['--noflush', ...(tool.waits ? ['--wait'] : [])]
  const { status, stderr } = await run(tool.restore, args, { signal, namespace, input })
  if (status !== 0) throw new XtablesError('refused', `${tool.restore} ended with ${status}: ${stderr}`)
}
