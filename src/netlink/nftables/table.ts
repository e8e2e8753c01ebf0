// Tables, chains and rules: struct nfgenmsg and NFTA_TABLE_*, NFTA_CHAIN_*, NFTA_RULE_* (linux/netfilter/nf_tables.h).
import type { Family } from '../../model/ip.ts'
import type { NftChain, NftRule } from '../../model/kernel.ts'
import { Attributes } from '../attributes.ts'
import { NLM_F, type Message, type Writer } from '../wire.ts'
import { commentData, NFGEN_BYTES, nftMessage, NFT_MSG, parseComment } from './header.ts'
import { writeMatch, writeVerdict } from './expression.ts'
import { parseClamp, writeClamp, type Clamp } from './clamp.ts'
import { parseExpressions } from './parse-expression.ts'

const NFTA_TABLE = { name: 1, flags: 2, use: 3, userdata: 6 } as const
const NFTA_CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7, flags: 10, userdata: 12 } as const
const NFTA_RULE = { table: 1, chain: 2, expressions: 4 } as const
const NFTA_HOOK = { number: 1, priority: 2 } as const

/** enum nf_inet_hooks */
const HOOKS = { forward: 2, postrouting: 4 } as const
const NF_ACCEPT = 1
/** The one chain flag that says nothing but "this is a base chain". */
const NFT_CHAIN_BASE = 1

/** What a message names: a table of a family. */
export interface TableName {
  readonly family: Family
  readonly name: string
}
const quote = (t: TableName): string => `nf_tables table ${t.family} ${t.name}`

/** Creates the table; it may be there already. */
export const putTable = (table: TableName, comment?: string): Message =>
  nftMessage(NFT_MSG.newTable, 0, table.family, `put ${quote(table)}`, (w) => {
    w.attrText(NFTA_TABLE.name, table.name).attrBe32(NFTA_TABLE.flags, 0)
    if (comment !== undefined) w.attrBytes(NFTA_TABLE.userdata, commentData(comment))
  })

/** Deletes the table with all it holds. ENOENT if there is none. */
export const removeTable = (table: TableName): Message =>
  nftMessage(NFT_MSG.delTable, 0, table.family, `remove ${quote(table)}`, (w) =>
    w.attrText(NFTA_TABLE.name, table.name),
  )

/** Asks for one table. ENOENT if there is none. */
export const getTable = (table: TableName): Message =>
  nftMessage(NFT_MSG.getTable, 0, table.family, `read ${quote(table)}`, (w) =>
    w.attrText(NFTA_TABLE.name, table.name),
  )

interface TableReply {
  readonly name: string
  /** enum nft_table_flags: dormant, owned by a process, … */
  readonly flags: number
  /** Chains, sets, maps, objects and flowtables in it. */
  readonly uses: number
  readonly comment: string | undefined
}
export function parseTable(body: Uint8Array): TableReply {
  const a = new Attributes(body, NFGEN_BYTES, 'nf_tables table')
  let name = ''
  let flags = 0
  let uses = 0
  let comment: string | undefined
  while (a.next()) {
    if (a.type === NFTA_TABLE.name) name = a.text()
    else if (a.type === NFTA_TABLE.flags) flags = a.be32()
    else if (a.type === NFTA_TABLE.use) uses = a.be32()
    else if (a.type === NFTA_TABLE.userdata) comment = parseComment(a.bytes())
  }
  return { name, flags, uses, comment }
}

/** Creates a base chain, or leaves the one that is there; EEXIST if that has another type, hook or priority. */
export const putChain = (table: TableName, chain: NftChain): Message =>
  nftMessage(
    NFT_MSG.newChain,
    NLM_F.create,
    table.family,
    `put chain ${chain.name} of ${quote(table)}`,
    (w) => {
      w.attrText(NFTA_CHAIN.table, table.name)
        .attrText(NFTA_CHAIN.name, chain.name)
        .attrText(NFTA_CHAIN.type, chain.hook.type)
        .attrBe32(NFTA_CHAIN.policy, NF_ACCEPT)
        .nest(NFTA_CHAIN.hook, (h) =>
          h
            .attrBe32(NFTA_HOOK.number, HOOKS[chain.hook.at])
            .attrBe32(NFTA_HOOK.priority, chain.hook.priority),
        )
      if (chain.comment !== undefined) w.attrBytes(NFTA_CHAIN.userdata, commentData(chain.comment))
    },
  )

/** Deletes a chain. EBUSY while it has rules or is jumped to. */
export const removeChain = (table: TableName, chain: string): Message =>
  nftMessage(NFT_MSG.delChain, 0, table.family, `remove chain ${chain} of ${quote(table)}`, (w) =>
    w.attrText(NFTA_CHAIN.table, table.name).attrText(NFTA_CHAIN.name, chain),
  )

/** Asks for one chain by name, or in a dump for all chains of the family. */
export const getChain = (table: TableName, chain: string): Message =>
  nftMessage(NFT_MSG.getChain, 0, table.family, `read chain ${chain} of ${quote(table)}`, (w) =>
    w.attrText(NFTA_CHAIN.table, table.name).attrText(NFTA_CHAIN.name, chain),
  )
export const listChains = (family: Family): Message =>
  nftMessage(NFT_MSG.getChain, NLM_F.dump, family, `list ${family} nf_tables chains`, () => {})

export interface ChainReply {
  readonly table: string
  readonly name: string
  readonly comment: string | undefined
  /** Undefined for a chain that is no base chain of ours: another type or hook, a policy of drop, a device. */
  readonly hook: NftChain['hook'] | undefined
}
export function parseChain(body: Uint8Array): ChainReply {
  const a = new Attributes(body, NFGEN_BYTES, 'nf_tables chain')
  let [table, name, type] = ['', '', '']
  let comment: string | undefined
  let [policy, flags] = [NF_ACCEPT as number, 0]
  let place: Place | undefined
  while (a.next()) {
    if (a.type === NFTA_CHAIN.table) table = a.text()
    else if (a.type === NFTA_CHAIN.name) name = a.text()
    else if (a.type === NFTA_CHAIN.type) type = a.text()
    else if (a.type === NFTA_CHAIN.policy) policy = a.be32()
    else if (a.type === NFTA_CHAIN.flags) flags = a.be32()
    else if (a.type === NFTA_CHAIN.hook) place = parseHook(a.nested())
    else if (a.type === NFTA_CHAIN.userdata) comment = parseComment(a.bytes())
  }
  const plain = policy === NF_ACCEPT && (flags & ~NFT_CHAIN_BASE) === 0
  return {
    table,
    name,
    comment,
    hook: plain && isChainType(type) && place !== undefined ? { type, ...place } : undefined,
  }
}

const isChainType = (type: string): type is NftChain['hook']['type'] => type === 'nat' || type === 'filter'

type Place = Omit<NftChain['hook'], 'type'>

function parseHook(a: Attributes): Place | undefined {
  let number: number | undefined
  let priority = 0
  while (a.next()) {
    if (a.type === NFTA_HOOK.number) number = a.be32()
    else if (a.type === NFTA_HOOK.priority) priority = a.be32() | 0
    else return undefined
  }
  const at = number === HOOKS.forward ? 'forward' : number === HOOKS.postrouting ? 'postrouting' : undefined
  return at && { at, priority }
}

/** Appends a rule to a chain. */
export const appendRule = (table: TableName, chain: string, rule: NftRule): Message =>
  append(table, chain, (list) => {
    for (const match of rule.matches) writeMatch(list, match, table.family)
    writeVerdict(list, rule.verdict)
  })

/** Appends the rules that clamp the segments of connections through a device, either way. */
export const appendClamps = (table: TableName, chain: string, device: string): Message[] =>
  (['iifname', 'oifname'] as const).map((by) =>
    append(table, chain, (list) => writeClamp(list, { by, device })),
  )

const append = (table: TableName, chain: string, build: (list: Writer) => void): Message =>
  nftMessage(
    NFT_MSG.newRule,
    NLM_F.create | NLM_F.append,
    table.family,
    `append a rule to chain ${chain} of ${quote(table)}`,
    (w) =>
      w
        .attrText(NFTA_RULE.table, table.name)
        .attrText(NFTA_RULE.chain, chain)
        .nest(NFTA_RULE.expressions, build),
  )

/** Deletes all rules of a chain. */
export const flushChain = (table: TableName, chain: string): Message =>
  nftMessage(NFT_MSG.delRule, 0, table.family, `flush chain ${chain} of ${quote(table)}`, (w) =>
    w.attrText(NFTA_RULE.table, table.name).attrText(NFTA_RULE.chain, chain),
  )

/** Asks for the rules of all chains of one table, in order; the kernel skips the other tables. */
export const listRules = (table: TableName): Message =>
  nftMessage(NFT_MSG.getRule, NLM_F.dump, table.family, `list rules of ${quote(table)}`, (w) =>
    w.attrText(NFTA_RULE.table, table.name),
  )

interface RuleReply {
  readonly table: string
  readonly chain: string
  /** Undefined for a rule that we would not write. */
  readonly rule: NftRule | Clamp | undefined
}
export function parseRule(body: Uint8Array, family: Family): RuleReply {
  const a = new Attributes(body, NFGEN_BYTES, 'nf_tables rule')
  let [table, chain] = ['', '']
  let rule: NftRule | Clamp | undefined
  while (a.next()) {
    if (a.type === NFTA_RULE.table) table = a.text()
    else if (a.type === NFTA_RULE.chain) chain = a.text()
    else if (a.type === NFTA_RULE.expressions)
      rule = parseExpressions(a.nested(), family) ?? parseClamp(a.nested())
  }
  return { table, chain, rule }
}
