// A whole table replaced or removed in one nf_tables transaction: at no instant is it gone or half there, and if
// the kernel refuses any part of it, nothing changes.
import type { NftChain, NftTable } from '../../model/kernel.ts'
import type { NetlinkSocket } from '../socket.ts'
import { NLM_F, type Message } from '../wire.ts'
import { batchBegin, batchEnd } from './header.ts'
import { findTable, type TableFound } from './read.ts'
import {
  appendClamps,
  appendRule,
  flushChain,
  putChain,
  putTable,
  removeChain,
  removeTable,
  type TableName,
} from './table.ts'

/** Puts the table in place of whatever has its name. Throws NetlinkError `refused` for the first part at fault. */
export function replaceTable(socket: NetlinkSocket, table: NftTable): void {
  const have = findTable(socket, table)
  const clear =
    have === undefined ? [] : fits(table, have) ? empty(table, have) : [putTable(table), removeTable(table)]
  commit(socket, [
    ...clear,
    putTable(table, table.comment),
    ...table.chains.flatMap((chain) => [
      putChain(table, chain),
      ...chain.rules.map((rule) => appendRule(table, chain.name, rule)),
      ...(chain.clamps ?? []).flatMap((device) => appendClamps(table, chain.name, device)),
    ]),
  ])
}

/** Removes the table; it may be gone already: creating it first makes deleting it succeed in both cases. */
export const dropTable = (socket: NetlinkSocket, table: TableName): void =>
  commit(socket, [putTable(table), removeTable(table)])

/**
 * Whether the chains can stay and only their rules be exchanged. A chain that takes another's place at the same hook
 * is asked before it: a packet between the two while the generation changes would find both of them empty (seen on
 * Linux 6.18, in dumps too). Within one chain the exchange is exact.
 */
function fits(table: NftTable, have: TableFound): boolean {
  if (have.flags !== 0 || have.others > 0) return false
  return table.chains.every((chain) => {
    const there = have.chains.find(({ name }) => name === chain.name)
    return there === undefined || sameHook(there.hook, chain.hook)
  })
}

const sameHook = (have: NftChain['hook'] | undefined, want: NftChain['hook']): boolean =>
  have?.type === want.type && have.at === want.at && have.priority === want.priority

/** All rules, and the chains that aren't wanted: after the rules that may jump to them. */
const empty = (table: NftTable, have: TableFound): Message[] => [
  ...have.chains.map(({ name }) => flushChain(table, name)),
  ...have.chains
    .filter(({ name }) => !table.chains.some((chain) => chain.name === name))
    .map(({ name }) => removeChain(table, name)),
]

/**
 * All or nothing. The boundaries can't be acknowledged before Linux 6.10, so the first message between them is; a
 * refusal of the transaction as a whole is reported on its beginning. What follows a refused chain is refused for
 * lack of it: the first refusal is the one to tell.
 */
function commit(socket: NetlinkSocket, changes: readonly Message[]): void {
  const acknowledged = changes.map((message, i) =>
    i === 0 ? { ...message, flags: message.flags | NLM_F.ack } : message,
  )
  const results = socket.transaction([batchBegin(), ...acknowledged, batchEnd()])
  const error = results.find((result) => result !== undefined)
  if (error !== undefined) throw error
}
