// One table read back from the kernel. Tables of others cost nothing: everything is asked for by the table's name.
import type { NftChain, NftRule, NftTable } from '../../model/kernel.ts'
import { isMissing } from '../error.ts'
import type { Clamp } from './clamp.ts'
import type { NetlinkSocket } from '../socket.ts'
import type { Message, Reply } from '../wire.ts'
import {
  getChain,
  getTable,
  listChains,
  listRules,
  parseChain,
  parseRule,
  parseTable,
  type ChainReply,
  type TableName,
} from './table.ts'

/** A table as it is, with what the model has no word for. */
export interface TableFound {
  readonly comment: string | undefined
  readonly flags: number
  readonly chains: readonly ChainFound[]
  /** Sets, maps, objects and flowtables in it. */
  readonly others: number
}
interface ChainFound extends ChainReply {
  /** In order; undefined stands for a rule that we would not write. */
  readonly rules: readonly (NftRule | Clamp | undefined)[]
}

/** The table, or undefined if there is none. What isn't recognised in it is told in `unrecognised`. Throws NetlinkError. */
export function readTable(socket: NetlinkSocket, name: TableName): NftTable | undefined {
  const found = findTable(socket, name)
  if (found === undefined) return undefined
  const odd = found.flags === 0 ? [] : [`flags 0x${found.flags.toString(16)}`]
  if (found.others > 0) odd.push(`${found.others} sets, maps or objects`)
  const chains = found.chains.flatMap(({ name, comment, hook, rules }) => {
    const known = rules.filter((rule) => rule !== undefined)
    if (hook === undefined) odd.push(`chain ${name} has another type, hook or policy`)
    else if (known.length < rules.length) odd.push(`${rules.length - known.length} rules of chain ${name}`)
    else {
      const ruled = ruledBy(known)
      if (ruled !== undefined) return [{ name, hook, ...ruled, ...commented(comment) }]
      odd.push(`rules of chain ${name} in another order`)
    }
    return []
  })
  return {
    kind: 'nft-table',
    family: name.family,
    name: name.name,
    ...commented(found.comment),
    chains,
    ...(odd.length > 0 ? { unrecognised: odd.join(', ') } : {}),
  }
}

/** Clamps come behind all rules, each device's two together; undefined where they don't. */
function ruledBy(known: readonly (NftRule | Clamp)[]): Pick<NftChain, 'rules' | 'clamps'> | undefined {
  const rules = known.filter((rule) => 'verdict' in rule)
  const clamps = known.slice(rules.length).filter((rule) => 'by' in rule)
  if (rules.length + clamps.length < known.length) return undefined
  const devices = clamps.filter((_, index) => index % 2 === 0).map(({ device }) => device)
  const isPaired = clamps.every(
    ({ by, device }, index) =>
      device === devices[index >> 1] && by === (index % 2 === 0 ? 'iifname' : 'oifname'),
  )
  if (!isPaired || clamps.length % 2 === 1) return undefined
  return { rules, ...(devices.length > 0 ? { clamps: devices } : {}) }
}

const commented = (comment: string | undefined): { comment?: string } =>
  comment === undefined ? {} : { comment }

export function findTable(socket: NetlinkSocket, name: TableName): TableFound | undefined {
  const [head] = tolerant(() => socket.request(getTable(name)))
  if (head === undefined) return undefined
  const { comment, flags, uses } = parseTable(head.body)
  const rules = readRules(socket, name)
  const chains = readChains(socket, name, [...rules.keys()], uses)
  return {
    comment,
    flags,
    chains: chains.map((chain) => ({ ...chain, rules: rules.get(chain.name) ?? [] })),
    others: Math.max(0, uses - chains.length),
  }
}

function readRules(socket: NetlinkSocket, name: TableName): Map<string, (NftRule | Clamp | undefined)[]> {
  const rules = new Map<string, (NftRule | Clamp | undefined)[]>()
  for (const { body } of tolerant(() => socket.dump(listRules(name)))) {
    const { table, chain, rule } = parseRule(body, name.family)
    if (table !== name.name) continue
    const list = rules.get(chain)
    if (list === undefined) rules.set(chain, [rule])
    else list.push(rule)
  }
  return rules
}

/**
 * The chains of a table. The kernel can't list the chains of one table alone, so those with rules are asked for one
 * by one; only if that leaves something (an empty chain, a set) are all chains of the family listed.
 */
function readChains(
  socket: NetlinkSocket,
  table: TableName,
  known: readonly string[],
  uses: number,
): ChainReply[] {
  const ask = (message: Message): Reply[] => tolerant(() => socket.request(message))
  if (known.length === uses)
    return known.flatMap((chain) => ask(getChain(table, chain))).map((reply) => parseChain(reply.body))
  return tolerant(() => socket.dump(listChains(table.family)))
    .map((reply) => parseChain(reply.body))
    .filter((chain) => chain.table === table.name)
}

/** What answers a request: nothing if what it names is gone. */
function tolerant(ask: () => Reply[]): Reply[] {
  try {
    return ask()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}
