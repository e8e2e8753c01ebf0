// The ruleset of nf_tables as the walk of a packet asks for it: each chain and set read when it is come to, and once.
import type { NetlinkSocket } from '../../netlink/socket.ts'
import {
  readBaseChains,
  readRules,
  readSet,
  type ForeignRule,
  type ForeignSet,
} from '../../netlink/nftables/foreign/ruleset.ts'
import type { Ruleset } from './walk.ts'

/** Throws NetlinkError, when it is asked too. */
export function readRuleset(socket: NetlinkSocket): Ruleset {
  const rules = new Map<string, readonly ForeignRule[]>()
  const sets = new Map<string, ForeignSet | undefined>()
  return {
    baseChains: readBaseChains(socket),
    rules: ({ table, name }) =>
      once(rules, `${table.family} ${table.name} ${name}`, () => readRules(socket, table, name)),
    set: (table, name) =>
      once(sets, `${table.family} ${table.name} ${name}`, () => readSet(socket, table, name)),
  }
}

function once<T>(kept: Map<string, T>, key: string, read: () => T): T {
  if (!kept.has(key)) kept.set(key, read())
  return kept.get(key) as T
}
