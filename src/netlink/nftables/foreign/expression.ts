// Expressions of anybody's rules, as far as one must know them to tell what a rule does to a packet: what it loads
// into registers, compares and decides (linux/netfilter/nf_tables.h). What isn't known is named, never guessed at.
import { Attributes } from '../../attributes.ts'

/** A number of enum nft_registers: 1 to 4 have 16 bytes, 8 to 23 have 4. */
export type Register = number

export type Verdict =
  | { readonly code: 'accept' | 'drop' | 'return' | 'continue' | 'break' | 'queue' }
  | { readonly code: 'jump' | 'goto'; readonly chain: string }

export type Expression =
  | { readonly op: 'meta' | 'ct'; readonly key: number; readonly to: Register }
  | { readonly op: 'meta-set'; readonly key: number; readonly from: Register }
  | {
      readonly op: 'payload'
      /** enum nft_payload_bases. */
      readonly base: number
      readonly offset: number
      readonly length: number
      readonly to: Register
    }
  | { readonly op: 'compare'; readonly from: Register; readonly how: number; readonly value: Uint8Array }
  | {
      readonly op: 'range'
      readonly from: Register
      readonly not: boolean
      readonly low: Uint8Array
      readonly high: Uint8Array
    }
  | {
      readonly op: 'bitwise'
      readonly from: Register
      readonly to: Register
      readonly mask: Uint8Array
      readonly xor: Uint8Array
    }
  /** Swaps the bytes of each unit between the machine's order and the network's. */
  | {
      readonly op: 'byteorder'
      readonly from: Register
      readonly to: Register
      readonly length: number
      readonly unit: number
    }
  | { readonly op: 'immediate'; readonly to: Register; readonly value: Uint8Array }
  | { readonly op: 'verdict'; readonly verdict: Verdict }
  | {
      readonly op: 'lookup'
      readonly set: string
      readonly from: Register
      /** Where a map's value goes: register 0 takes verdicts. */
      readonly to: Register | undefined
      readonly not: boolean
    }
  | { readonly op: 'counter'; readonly packets: bigint; readonly bytes: bigint }
  | { readonly op: 'reject' }
  /** Masquerade, source and destination NAT: the packet is accepted with another address. */
  | { readonly op: 'nat'; readonly name: string }
  /** A match or target of iptables', in its own binary form. */
  | {
      readonly op: 'match' | 'target'
      readonly name: string
      readonly revision: number
      readonly info: Uint8Array
    }
  /** Goes on, whatever it does. */
  | { readonly op: 'aside'; readonly name: string }
  /** Loads what can't be foreseen. */
  | { readonly op: 'load'; readonly name: string; readonly to: Register }
  /** May match or not, or end the packet's way or not. */
  | { readonly op: 'unknown'; readonly name: string }

/** Expressions of a rule, in order; an array is such a list. */
export interface ExpressionList {
  at(index: number): Expression | undefined
}
export function* allOf(list: ExpressionList): Generator<Expression, void, undefined> {
  for (let i = 0, e = list.at(i); e !== undefined; e = list.at(++i)) yield e
}

/** Values of an expression by attribute number. */
type Fields = readonly (Uint8Array | undefined)[]

/** Read as they are asked for: most of ten thousand rules are decided by their first match. */
export class Expressions implements ExpressionList {
  readonly #found: Expression[] = []
  readonly #rest: Attributes

  /** `bytes`: the value of NFTA_RULE_EXPRESSIONS, which must stay. */
  constructor(bytes: Uint8Array) {
    this.#rest = new Attributes(bytes, 0, 'an nf_tables rule')
  }

  at(index: number): Expression | undefined {
    while (this.#found.length <= index) {
      if (!this.#rest.next()) return undefined
      this.#found.push(readExpression(this.#rest.nested()))
    }
    return this.#found[index]
  }
}

function readExpression(element: Attributes): Expression {
  let name = ''
  let fields: Fields = []
  while (element.next()) {
    if (element.type === 1) name = nameOf(element.bytes())
    else if (element.type === 2) fields = fieldsOf(element.nested())
  }
  return readers[name]?.(fields, name) ?? { op: 'unknown', name }
}

/** Short names of ASCII, of which there are few: a decoder would cost more than all the rest. */
function nameOf(bytes: Uint8Array): string {
  let name = ''
  for (const byte of bytes) {
    if (byte === 0) break
    name += String.fromCharCode(byte)
  }
  return name
}

/** Loads 1 where there is a route (back) for the packet, else 0. */
export const FIB_PRESENT = 'fib present'
const NFTA_FIB_F_PRESENT = 1 << 5

type Reader = (f: Fields, name: string) => Expression | undefined

/** Undefined where a field that is needed is missing. */
const readers: Readonly<Record<string, Reader>> = {
  meta: (f) => loadOrSet('meta', f),
  ct: (f) => {
    const found = loadOrSet('ct', f)
    // Of the packets of one direction only (NFTA_CT_DIRECTION): nobody asks that of a first packet.
    return found?.op === 'ct' && f[3] !== undefined ? { op: 'load', name: 'ct', to: found.to } : found
  },
  payload: (f) => {
    const [to, base, offset, length] = [number(f, 1), number(f, 2), number(f, 3), number(f, 4)]
    if (to === undefined) return { op: 'aside', name: 'payload set' }
    return base === undefined || offset === undefined || length === undefined
      ? undefined
      : { op: 'payload', base, offset, length, to }
  },
  cmp: (f) => {
    const [from, how, value] = [number(f, 1), number(f, 2), dataOf(f[3])]
    return from === undefined || how === undefined || value === undefined
      ? undefined
      : { op: 'compare', from, how, value }
  },
  range: (f) => {
    const [from, low, high] = [number(f, 1), dataOf(f[3]), dataOf(f[4])]
    return from === undefined || low === undefined || high === undefined
      ? undefined
      : { op: 'range', from, not: number(f, 2) === 1, low, high }
  },
  bitwise: (f) => {
    const [from, to, mask, xor] = [number(f, 1), number(f, 2), dataOf(f[4]), dataOf(f[5])]
    if (from === undefined || to === undefined) return undefined
    const isPlain = (number(f, 6) ?? 0) === 0 && mask !== undefined && xor !== undefined
    return isPlain ? { op: 'bitwise', from, to, mask, xor } : { op: 'load', name: 'bitwise', to }
  },
  byteorder: (f) => {
    const [from, to, length, unit] = [number(f, 1), number(f, 2), number(f, 4), number(f, 5)]
    return from === undefined || to === undefined || length === undefined || unit === undefined
      ? undefined
      : { op: 'byteorder', from, to, length, unit }
  },
  immediate: (f) => {
    const to = number(f, 1)
    if (to === 0) {
      const verdict = verdictOf(f[2])
      return verdict && { op: 'verdict', verdict }
    }
    const value = dataOf(f[2])
    return to === undefined || value === undefined ? undefined : { op: 'immediate', to, value }
  },
  lookup: (f) => {
    const from = number(f, 2)
    const set = f[1]
    return from === undefined || set === undefined
      ? undefined
      : { op: 'lookup', set: textOf(set), from, to: number(f, 3), not: ((number(f, 5) ?? 0) & 1) !== 0 }
  },
  counter: (f) => {
    const [bytes, packets] = [wide(f, 1), wide(f, 2)]
    return bytes === undefined || packets === undefined ? undefined : { op: 'counter', packets, bytes }
  },
  reject: () => ({ op: 'reject' }),
  queue: () => ({ op: 'verdict', verdict: { code: 'queue' } }),
  match: (f) => extension('match', f),
  target: (f) => extension('target', f),
  fib: (f) => load(f, ((number(f, 3) ?? 0) & NFTA_FIB_F_PRESENT) === 0 ? 'fib' : FIB_PRESENT, 1),
  rt: (f) => load(f, 'rt', 1),
  socket: (f) => load(f, 'socket', 2),
  numgen: (f) => load(f, 'numgen', 1),
  hash: (f) => load(f, 'hash', 2),
  exthdr: (f) => load(f, 'exthdr', 1),
  osf: (f) => load(f, 'osf', 1),
  tunnel: (f) => load(f, 'tunnel', 2),
  xfrm: (f) => load(f, 'xfrm', 1),
  ...Object.fromEntries(
    ['masq', 'nat', 'redir', 'tproxy'].map((name): [string, Reader] => [name, () => ({ op: 'nat', name })]),
  ),
  ...Object.fromEntries(
    ['log', 'notrack', 'objref', 'dup', 'last', 'flow_offload'].map((name): [string, Reader] => [
      name,
      () => ({ op: 'aside', name }),
    ]),
  ),
}

function loadOrSet(op: 'meta' | 'ct', f: Fields): Expression | undefined {
  const [to, key] = [number(f, 1), number(f, 2)]
  if (key === undefined) return undefined
  if (to !== undefined) return { op, key, to }
  const from = number(f, op === 'meta' ? 3 : 4)
  return op === 'meta' && from !== undefined
    ? { op: 'meta-set', key, from }
    : { op: 'aside', name: `${op} set` }
}

/** Without a register to load into it is a setter (exthdr, rt). */
function load(f: Fields, name: string, field: number): Expression {
  const to = number(f, field)
  return to === undefined ? { op: 'aside', name } : { op: 'load', name, to }
}

function extension(op: 'match' | 'target', f: Fields): Expression | undefined {
  const [name, info] = [f[1], f[3]]
  return name && info && { op, name: textOf(name), revision: number(f, 2) ?? 0, info }
}

/** enum nf_inet verdicts and nft_verdicts, as signed numbers. */
const CODES: Readonly<Record<number, Verdict['code']>> = {
  [-5]: 'return',
  [-4]: 'goto',
  [-3]: 'jump',
  [-2]: 'break',
  [-1]: 'continue',
  0: 'drop',
  1: 'accept',
  3: 'queue',
}

/** In NFTA_DATA_VERDICT of a nest of one. */
export function verdictOf(bytes: Uint8Array | undefined): Verdict | undefined {
  const inner = bytes && fieldsIn(bytes)[2]
  if (inner === undefined) return undefined
  const fields = fieldsIn(inner)
  const number_ = number(fields, 1)
  // The upper half of a drop or queue verdict is an error number or a queue.
  const code = number_ === undefined ? undefined : (CODES[number_ | 0] ?? CODES[number_ & 0xff])
  const chain = fields[2]
  if (code === 'jump' || code === 'goto') return chain && { code, chain: textOf(chain) }
  return code && { code }
}

/** In NFTA_DATA_VALUE of a nest of one. */
export const dataOf = (bytes: Uint8Array | undefined): Uint8Array | undefined => bytes && fieldsIn(bytes)[1]

const fieldsIn = (bytes: Uint8Array): Fields => fieldsOf(new Attributes(bytes, 0, 'an nf_tables value'))

/** No expression that is read has more (NFTA_BITWISE_MAX is 8). */
const MOST_FIELDS = 16

function fieldsOf(attributes: Attributes): Fields {
  const fields: (Uint8Array | undefined)[] = []
  while (attributes.next()) if (attributes.type <= MOST_FIELDS) fields[attributes.type] = attributes.bytes()
  return fields
}

function number(fields: Fields, type: number): number | undefined {
  const bytes = fields[type]
  if (bytes?.length !== 4) return undefined
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

function wide(fields: Fields, type: number): bigint | undefined {
  const bytes = fields[type]
  return bytes?.length === 8 ? new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0) : undefined
}

const decoder = new TextDecoder()
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))
}
