// Reads anybody's nf_tables ruleset: which chains the kernel asks at its hooks, and of those the rules and sets that
// somebody looks into, one by one. Rules that aren't asked for cost nothing.
import { Attributes } from '../../attributes.ts'
import { isMissing } from '../../error.ts'
import type { NetlinkSocket } from '../../socket.ts'
import { NLM_F, Writer, type Message } from '../../wire.ts'
import { NFGEN_BYTES, NFT_MSG, parseComment } from '../header.ts'
import { dataOf, Expressions, verdictOf, type ExpressionList, type Verdict } from './expression.ts'

/** NFPROTO_*, as nft names table families. */
const FAMILIES = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const
export type TableFamily = keyof typeof FAMILIES
const familyNumbered = new Map<number, TableFamily>(
  Object.entries(FAMILIES).map(([name, number]) => [number, name as TableFamily]),
)

const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress'] as const
const NETDEV_HOOKS = ['ingress', 'egress'] as const
export type Hook = (typeof HOOKS)[number] | 'egress'

export interface TableOfAny {
  readonly family: TableFamily
  readonly name: string
}
export interface Counter {
  readonly packets: bigint
  readonly bytes: bigint
}

/** A chain that the kernel asks. */
export interface BaseChain {
  readonly table: TableOfAny
  readonly name: string
  /** filter, nat or route. */
  readonly type: string
  readonly hook: Hook
  readonly priority: number
  readonly policy: 'accept' | 'drop'
  /** Packets that came to its end, where it counts them. */
  readonly counter?: Counter
  /** Of netdev chains: on these devices alone. */
  readonly devices: readonly string[]
}

export interface ForeignRule {
  readonly handle: bigint
  readonly expressions: ExpressionList
  readonly comment?: string
}

export interface SetElement {
  readonly key: Uint8Array
  /** The last key of a range of concatenated ones, both ends in it. */
  readonly keyEnd?: Uint8Array
  /** Of a set of intervals: it ends one, and is not in it. */
  readonly endsInterval: boolean
  /** Whatever no other element has. */
  readonly isRest: boolean
  /** Of a map: a value, or a verdict. */
  readonly value: () => Uint8Array | undefined
  readonly verdict: () => Verdict | undefined
}
export interface ForeignSet {
  readonly isInterval: boolean
  /** Bytes of each part of a concatenated key; of any other key its own. */
  readonly parts: readonly number[]
  readonly elements: readonly SetElement[]
  /** There are more elements, which nobody has looked at. */
  readonly isCut: boolean
}

/** Elements of a set that are looked at: a larger one, as a list of all networks of a country, would take seconds. */
const MOST_ELEMENTS = 20_000

const NFT_TABLE_F_DORMANT = 1
const NFT_SET = { interval: 0x4, concat: 0x80 } as const
const NFT_SET_ELEM = { intervalEnd: 1, catchAll: 2 } as const
const NF_DROP = 0

const question = (
  type: number,
  flags: number,
  family: TableFamily | undefined,
  subject: string,
  build: (w: Writer) => void = () => undefined,
): Message =>
  Writer.message(type, flags, subject, (w) => {
    w.u8(family === undefined ? 0 : FAMILIES[family])
      .u8(0)
      .be16(0)
    build(w)
  })

/** Of all families; chains of dormant tables are asked by nobody and left out. Throws NetlinkError. */
export function readBaseChains(socket: NetlinkSocket): BaseChain[] {
  const asleep = new Set<string>()
  socket.dump(question(NFT_MSG.getTable, NLM_F.dump, undefined, 'list nf_tables tables'), ({ body }) => {
    const a = new Attributes(body, NFGEN_BYTES, 'nf_tables table')
    let [name, flags] = ['', 0]
    while (a.next()) {
      if (a.type === 1) name = a.text()
      else if (a.type === 2) flags = a.be32()
    }
    if ((flags & NFT_TABLE_F_DORMANT) !== 0) asleep.add(`${body[0]} ${name}`)
    return undefined
  })
  return socket.dump(
    question(NFT_MSG.getChain, NLM_F.dump, undefined, 'list nf_tables chains'),
    ({ body }) => {
      const chain = parseBaseChain(body)
      return chain && !asleep.has(`${body[0]} ${chain.table.name}`) ? chain : undefined
    },
  )
}

function parseBaseChain(body: Uint8Array): BaseChain | undefined {
  const family = familyNumbered.get(body[0] ?? 0)
  const a = new Attributes(body, NFGEN_BYTES, 'nf_tables chain')
  let [table, name, type, policy] = ['', '', '', 1]
  let place: { number: number; priority: number; devices: string[] } | undefined
  let counter: Counter | undefined
  while (a.next()) {
    if (a.type === 1) table = a.text()
    else if (a.type === 3) name = a.text()
    else if (a.type === 4) place = parseHook(a.nested())
    else if (a.type === 5) policy = a.be32()
    else if (a.type === 7) type = a.text()
    else if (a.type === 8) counter = parseCounter(a.nested())
  }
  if (place === undefined || family === undefined) return undefined
  const hook = family === 'netdev' ? NETDEV_HOOKS[place.number] : HOOKS[place.number]
  if (hook === undefined) return undefined
  return {
    table: { family, name: table },
    name,
    type,
    hook,
    priority: place.priority,
    policy: policy === NF_DROP ? 'drop' : 'accept',
    devices: place.devices,
    ...(counter && { counter }),
  }
}

function parseHook(a: Attributes): { number: number; priority: number; devices: string[] } {
  let [number, priority] = [-1, 0]
  const devices: string[] = []
  while (a.next()) {
    if (a.type === 1) number = a.be32()
    else if (a.type === 2) priority = a.be32() | 0
    else if (a.type === 3) devices.push(a.text())
    else if (a.type === 4) for (const list = a.nested(); list.next();) devices.push(list.text())
  }
  return { number, priority, devices: [...new Set(devices)] }
}

function parseCounter(a: Attributes): Counter {
  let [packets, bytes] = [0n, 0n]
  while (a.next()) {
    if (a.type === 1) bytes = a.be64()
    else if (a.type === 2) packets = a.be64()
  }
  return { packets, bytes }
}

/** In order; none if the chain is gone by now. */
export function readRules(socket: NetlinkSocket, table: TableOfAny, chain: string): ForeignRule[] {
  const subject = `list rules of chain ${chain} of nf_tables table ${table.family} ${table.name}`
  const message = question(NFT_MSG.getRule, NLM_F.dump, table.family, subject, (w) =>
    w.attrText(1, table.name).attrText(2, chain),
  )
  return orNone(() =>
    socket.dump(message, ({ body }) => {
      const a = new Attributes(body, NFGEN_BYTES, 'nf_tables rule')
      let handle = 0n
      let [inTable, inChain] = ['', '']
      let expressions: ExpressionList = []
      let comment: string | undefined
      while (a.next()) {
        if (a.type === 1) inTable = a.text()
        else if (a.type === 2) inChain = a.text()
        else if (a.type === 3) handle = a.be64()
        else if (a.type === 4) expressions = new Expressions(a.bytes().slice())
        else if (a.type === 7) comment = parseComment(a.bytes())
      }
      // A kernel that can't choose by name tells of all.
      if (inTable !== table.name || inChain !== chain) return undefined
      return { handle, expressions, ...(comment !== undefined && { comment }) }
    }),
  )
}

/** Undefined if it is gone by now. */
export function readSet(socket: NetlinkSocket, table: TableOfAny, name: string): ForeignSet | undefined {
  const named = (w: Writer) => w.attrText(1, table.name).attrText(2, name)
  const subject = `read set ${name} of nf_tables table ${table.family} ${table.name}`
  const [head] = orNone(() => socket.request(question(NFT_MSG.getSet, 0, table.family, subject, named)))
  if (head === undefined) return undefined
  const { flags, length, fields } = parseSetHead(head.body)
  let count = 0
  let isCut = false
  const elements = orNone(() =>
    socket.dump(question(NFT_MSG.getSetElements, NLM_F.dump, table.family, subject, named), ({ body }) => {
      isCut ||= count > MOST_ELEMENTS
      if (isCut) return undefined
      const some = parseElements(body)
      count += some.length
      return some
    }),
  ).flat()
  return {
    isInterval: (flags & NFT_SET.interval) !== 0,
    parts: (flags & NFT_SET.concat) !== 0 && fields.length > 0 ? fields : [length],
    elements,
    isCut,
  }
}

function parseSetHead(body: Uint8Array): { flags: number; length: number; fields: number[] } {
  const a = new Attributes(body, NFGEN_BYTES, 'nf_tables set')
  let [flags, length] = [0, 0]
  const fields: number[] = []
  while (a.next()) {
    if (a.type === 3) flags = a.be32()
    else if (a.type === 5) length = a.be32()
    else if (a.type === 9)
      for (const about = a.nested(); about.next();)
        if (about.type === 2)
          for (const list = about.nested(); list.next();)
            for (const field = list.nested(); field.next();) if (field.type === 1) fields.push(field.be32())
  }
  return { flags, length, fields }
}

function parseElements(body: Uint8Array): SetElement[] {
  // Keys are kept, as views.
  const a = new Attributes(body.slice(), NFGEN_BYTES, 'nf_tables set elements')
  const found: SetElement[] = []
  while (a.next())
    if (a.type === 3) for (const list = a.nested(); list.next();) found.push(parseElement(list.nested()))
  return found
}

function parseElement(a: Attributes): SetElement {
  let key: Uint8Array = new Uint8Array()
  let keyEnd: Uint8Array | undefined
  let data: Uint8Array | undefined
  let flags = 0
  while (a.next()) {
    if (a.type === 1) key = dataOf(a.bytes()) ?? key
    else if (a.type === 2) data = a.bytes()
    else if (a.type === 3) flags = a.be32()
    else if (a.type === 10) keyEnd = dataOf(a.bytes())
  }
  return {
    key,
    endsInterval: (flags & NFT_SET_ELEM.intervalEnd) !== 0,
    isRest: (flags & NFT_SET_ELEM.catchAll) !== 0,
    ...(keyEnd && { keyEnd }),
    value: () => dataOf(data),
    verdict: () => verdictOf(data),
  }
}

function orNone<T>(ask: () => T[]): T[] {
  try {
    return ask()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}
