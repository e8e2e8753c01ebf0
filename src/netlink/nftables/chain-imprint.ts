// Whether chains of others' tables are as they were, without understanding their rules: those that iptables-nft keeps in
// nf_tables. Only the chains asked for are read, however large their table is.
import { hash64 } from '../../sys/hash.ts'
import { Attributes } from '../attributes.ts'
import { ignoreMissing } from '../error.ts'
import type { NetlinkSocket } from '../socket.ts'
import { NLM_F } from '../wire.ts'
import { NFGEN_BYTES, NFT_MSG, nftMessage } from './header.ts'
import { getChain, type TableName } from './table.ts'

const NFTA_RULE = { chain: 2, expressions: 4, userdata: 7 } as const
const NFTA_EXPR = { name: 1, data: 2 } as const
/** NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT and NFTA_VERDICT_CHAIN happen to be alike, as is NFTA_MATCH_NAME's 1. */
const NEST = 2
const MATCH_NAME = 1

/**
 * Of a chain and the one that leads to it, with all that this one leads to whatever a packet is like; counters, handles
 * and places don't count. Undefined where the chain isn't there. Throws NetlinkError.
 */
export function chainImprint(
  socket: NetlinkSocket,
  table: TableName,
  chain: string,
  from: string,
): bigint | undefined {
  if (!ignoreMissing(() => void socket.request(getChain(table, chain)))) return undefined
  const parts: Uint8Array[] = []
  const names = new Set([chain, from])
  for (const name of names) {
    parts.push(Buffer.from(`\n${name}\n`))
    ignoreMissing(() => {
      for (const { body } of socket.dump(listRulesOf(table, name))) {
        const to = copyRule(body, name, parts)
        if (to !== undefined) names.add(to)
      }
    })
  }
  return hash64(Buffer.concat(parts))
}

/** The rules of one chain, in order. Kernels before 4.9 answer with all of the table. */
const listRulesOf = (table: TableName, chain: string) =>
  nftMessage(
    NFT_MSG.getRule,
    NLM_F.dump,
    table.family,
    `list rules of chain ${chain} of ${table.name}`,
    (w) => w.attrText(1, table.name).attrText(NFTA_RULE.chain, chain),
  )

/** Adds what the rule does to `parts`; returns the chain that it leads to, if it does so on no condition. */
function copyRule(body: Uint8Array, chain: string, parts: Uint8Array[]): string | undefined {
  const a = new Attributes(body, NFGEN_BYTES, 'nf_tables rule')
  const found: Uint8Array[] = [Buffer.from('\n')]
  let to: string | undefined
  while (a.next()) {
    if (a.type === NFTA_RULE.chain && a.text() !== chain) return undefined
    if (a.type === NFTA_RULE.userdata) found.push(a.bytes().slice())
    if (a.type === NFTA_RULE.expressions) to = copyExpressions(a.nested(), found)
  }
  parts.push(...found)
  return to
}

function copyExpressions(list: Attributes, found: Uint8Array[]): string | undefined {
  let always = true
  let to: string | undefined
  while (list.next()) {
    const element = list.nested()
    let name = ''
    while (element.next())
      if (element.type === NFTA_EXPR.name) {
        name = element.text()
        found.push(Buffer.from(`\t${name}\t`))
      } else if (element.type === NFTA_EXPR.data && name !== 'counter') {
        found.push(element.bytes().slice())
        if (name === 'immediate') to ??= verdictChain(element.nested())
        else if (name !== 'target') always &&= name === 'match' && isComment(element.nested())
      }
  }
  return always ? to : undefined
}

function isComment(match: Attributes): boolean {
  while (match.next()) if (match.type === MATCH_NAME) return match.text() === 'comment'
  return false
}

/** The chain that a verdict jumps or goes to. */
function verdictChain(immediate: Attributes): string | undefined {
  while (immediate.next())
    if (immediate.type === NEST) {
      const data = immediate.nested()
      while (data.next())
        if (data.type === NEST) {
          const verdict = data.nested()
          while (verdict.next()) if (verdict.type === NEST) return verdict.text()
        }
    }
  return undefined
}
