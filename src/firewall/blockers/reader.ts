// The rules of this host as the walk of a packet asks for them: nf_tables' and iptables-legacy's, each chain and set read
// when it is come to, and once.
import type { NetlinkSocket } from '../../netlink/socket.ts'
import {
  readBaseChains,
  readRules,
  readSet,
  type ForeignRule,
  type ForeignSet,
} from '../../netlink/nftables/foreign/ruleset.ts'
import type { LegacyTables } from '../../xtables/legacy.ts'
import { readLegacy } from './legacy.ts'
import type { Ruleset } from './walk.ts'

/** Throws NetlinkError, SysError and XtablesError, and so does what is returned. `legacy` is read at once. */
export function readRuleset(socket: NetlinkSocket, legacy: LegacyTables): Ruleset {
  const rules = new Map<string, readonly ForeignRule[]>()
  const sets = new Map<string, ForeignSet | undefined>()
  const old = readLegacy(legacy)
  return {
    baseChains: [...readBaseChains(socket), ...old.baseChains],
    rules: ({ table, name }) =>
      once(rules, `${table.isLegacy} ${table.family} ${table.name} ${name}`, () =>
        table.isLegacy ? old.rules(table, name) : readRules(socket, table, name),
      ),
    set: (table, name) =>
      once(sets, `${table.family} ${table.name} ${name}`, () => readSet(socket, table, name)),
  }
}

function once<T>(kept: Map<string, T>, key: string, read: () => T): T {
  if (!kept.has(key)) kept.set(key, read())
  return kept.get(key) as T
}
