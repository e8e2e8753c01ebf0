// What one rule does to a packet: its expressions run over the registers of nf_tables, of which some bits are known and
// others not. Pure.
import {
  FIB_PRESENT,
  type Expression,
  type ExpressionList,
  type Register,
  type Verdict,
} from '../../netlink/nftables/foreign/expression.ts'
import type { ForeignSet } from '../../netlink/nftables/foreign/ruleset.ts'
import type { Family } from '../../model/ip.ts'
import { effectOf, judge } from './extensions.ts'
import { SOME_PORT, type Packet, type Port } from './packet.ts'
import { compareHow, masked, not, nothing, swapped, whole, within } from './partial.ts'
import type { Answer, Partial } from './partial.ts'
import { hits } from './sets.ts'

export type Outcome =
  | { readonly answer: 'yes' | 'maybe'; readonly verdict: Verdict }
  | { readonly answer: 'yes' | 'maybe'; readonly verdict: { readonly code: 'reject' } }

/** A packet on its way: rules may have marked it. */
export interface Traveller {
  readonly packet: Packet
  /** Where it is: behind routing the way out is known. */
  in: Port | undefined
  out: Port | undefined
  mark: Partial
  /** A rule reads none that it hasn't written: the kernel refuses it. */
  readonly registers: Registers
}

/** The set of a name in the rule's table, or undefined where there is none. */
export type SetReader = (name: string) => ForeignSet | undefined

const REGISTER_BYTES = 64
const META = {
  protocol: 1,
  mark: 3,
  iif: 4,
  oif: 5,
  iifname: 6,
  oifname: 7,
  nfproto: 15,
  l4proto: 16,
  pkttype: 19,
}
const CT = { state: 0, direction: 1, status: 2, mark: 3 } as const
const NEW_STATE = 1 << 3
/** IPS_EXPECTED, IPS_SRC_NAT, IPS_DST_NAT, …: none of them is set of a first packet to an address that is meant. */
const NO_STATUS = 0
const NFPROTO: Record<Family, number> = { ipv4: 2, ipv6: 10 }
const ETHERTYPE: Record<Family, readonly number[]> = { ipv4: [0x08, 0x00], ipv6: [0x86, 0xdd] }
const NAME_BYTES = 16

/** Nothing, or what may come of it: several only where a map leaves it open. */
export function outcomesOf(
  expressions: ExpressionList,
  traveller: Traveller,
  setNamed: SetReader,
): readonly Outcome[] {
  const { registers } = traveller
  let answer: 'yes' | 'maybe' = 'yes'
  for (let i = 0, e = expressions.at(i); e !== undefined; e = expressions.at(++i)) {
    let step: Answer = 'yes'
    switch (e.op) {
      case 'counter':
      case 'aside':
        continue
      case 'verdict':
        return [{ answer, verdict: e.verdict }]
      case 'reject':
        return [{ answer, verdict: { code: 'reject' } }]
      case 'nat':
        return [{ answer, verdict: { code: 'accept' } }]
      case 'meta':
        registers.load(e.to, metaOf(e.key, traveller))
        continue
      case 'ct':
        registers.load(e.to, connectionOf(e.key))
        continue
      case 'meta-set':
        if (e.key === META.mark)
          traveller.mark = answer === 'yes' ? copied(registers.read(e.from, 4)) : nothing(4)
        continue
      case 'payload':
        registers.load(e.to, payloadOf(e.base, e.offset, e.length, traveller.packet))
        continue
      case 'immediate':
        registers.load(e.to, whole(e.value))
        continue
      case 'load':
        // Peers' packets come in where their routes lead: those are flanneld's own.
        registers.load(e.to, e.name === FIB_PRESENT ? whole(Uint8Array.of(1)) : nothing(NAME_BYTES))
        continue
      case 'bitwise':
        registers.load(e.to, masked(registers.read(e.from, e.mask.length), e.mask, e.xor))
        continue
      case 'byteorder':
        registers.load(e.to, swapped(registers.read(e.from, e.length), e.unit))
        continue
      case 'compare':
        step = compareHow(registers.read(e.from, e.value.length), e.how, e.value)
        break
      case 'range': {
        const inside = within(registers.read(e.from, e.low.length), e.low, e.high)
        step = e.not ? not(inside) : inside
        break
      }
      case 'lookup': {
        const found = lookUp(e, registers, setNamed)
        if (e.to === 0) return found.verdicts.map((o) => ({ ...o, answer: worse(answer, o.answer) }))
        step = found.answer
        break
      }
      case 'match':
        step = judge(e, { transport: traveller.packet.transport, mark: traveller.mark })
        break
      case 'target': {
        const effect = effectOf(e.name)
        if (effect === 'mark') traveller.mark = nothing(4)
        else if (effect === 'unknown') step = 'maybe'
        else if (effect === 'reject') return [{ answer, verdict: { code: 'reject' } }]
        else if (effect === 'accept' || effect === 'queue') return [{ answer, verdict: { code: effect } }]
        break
      }
      case 'unknown':
        step = 'maybe'
        break
      default:
        e satisfies never
    }
    if (step === 'no') return []
    if (step === 'maybe') answer = 'maybe'
  }
  return []
}

const copied = ({ bytes, known }: Partial): Partial => ({ bytes: bytes.slice(), known: known.slice() })
const worse = (a: 'yes' | 'maybe', b: 'yes' | 'maybe'): 'yes' | 'maybe' => (a === 'yes' ? b : a)

type Lookup = Extract<Expression, { op: 'lookup' }>

function lookUp(
  e: Lookup,
  registers: Registers,
  setNamed: SetReader,
): { answer: Answer; verdicts: readonly Outcome[] } {
  const set = setNamed(e.set)
  if (set === undefined) return { answer: 'maybe', verdicts: [] }
  const length = set.parts.reduce((sum, part) => sum + ((part + 3) & ~3), 0)
  const found = hits(set, registers.read(e.from, Math.max(length, set.parts[0] ?? 0)))
  if (found === 'too many') {
    if (e.to !== undefined && e.to !== 0) registers.load(e.to, nothing(NAME_BYTES))
    return { answer: 'maybe', verdicts: [] }
  }
  const [first] = found
  const answer = first === undefined ? 'no' : first.answer
  if (e.to !== undefined && e.to !== 0) {
    const value = first?.answer === 'yes' ? first.element.value() : undefined
    registers.load(e.to, value === undefined ? nothing(NAME_BYTES) : whole(value))
  }
  const verdicts = new Map<string, Outcome>()
  if (e.to === 0)
    for (const { answer: certainty, element } of found) {
      const verdict = element.verdict()
      if (verdict !== undefined) verdicts.set(JSON.stringify(verdict), { answer: certainty, verdict })
    }
  return { answer: e.not ? not(answer) : answer, verdicts: [...verdicts.values()] }
}

/** Two names for the same bytes: 1 to 4 of sixteen, 8 to 23 of four. */
export class Registers {
  readonly #bytes = new Uint8Array(REGISTER_BYTES)
  readonly #known = new Uint8Array(REGISTER_BYTES).fill(0xff)

  /** The rest of its last four bytes becomes nought, as in the kernel. */
  load(register: Register, { bytes, known }: Partial): void {
    const at = offsetOf(register)
    const end = Math.min(REGISTER_BYTES, at + ((bytes.length + 3) & ~3))
    this.#bytes.fill(0, at, end)
    this.#known.fill(0xff, at, end)
    this.#bytes.set(bytes.subarray(0, REGISTER_BYTES - at), at)
    this.#known.set(known.subarray(0, REGISTER_BYTES - at), at)
  }

  /** A view. */
  read(register: Register, length: number): Partial {
    const at = offsetOf(register)
    return { bytes: this.#bytes.subarray(at, at + length), known: this.#known.subarray(at, at + length) }
  }
}

const offsetOf = (register: Register): number => (register < 8 ? (register - 1) * 16 : (register - 8) * 4)

function metaOf(key: number, { packet, in: from, out: to, mark }: Traveller): Partial {
  switch (key) {
    case META.protocol:
      return whole(Uint8Array.from(ETHERTYPE[packet.family]))
    case META.mark:
      return mark
    case META.iif:
      return indexOf(from)
    case META.oif:
      return indexOf(to)
    case META.iifname:
      return nameOf(from)
    case META.oifname:
      return nameOf(to)
    case META.nfproto:
      return whole(Uint8Array.of(NFPROTO[packet.family]))
    case META.l4proto:
      return whole(Uint8Array.of(packet.protocol))
    case META.pkttype:
      return whole(Uint8Array.of(0))
    default:
      return nothing(4)
  }
}

function nameOf(port: Port | undefined): Partial {
  if (port === SOME_PORT) return nothing(NAME_BYTES)
  const bytes = new Uint8Array(NAME_BYTES)
  bytes.set(new TextEncoder().encode(port?.name ?? '').subarray(0, NAME_BYTES))
  return whole(bytes)
}

const indexOf = (port: Port | undefined): Partial =>
  port === undefined
    ? whole(hostOrder(0))
    : port.index === undefined
      ? nothing(4)
      : whole(hostOrder(port.index))

function connectionOf(key: number): Partial {
  switch (key) {
    case CT.state:
      return whole(hostOrder(NEW_STATE))
    case CT.direction:
      return whole(Uint8Array.of(0))
    case CT.status:
      return whole(hostOrder(NO_STATUS))
    case CT.mark:
      return whole(hostOrder(0))
    default:
      return nothing(NAME_BYTES)
  }
}

/** enum nft_payload_bases: 0 link layer, 1 network, 2 transport, 3 inside. */
function payloadOf(base: number, offset: number, length: number, packet: Packet): Partial {
  const header = base === 1 ? packet.network : base === 2 ? packet.transport : undefined
  const part = nothing(length)
  if (header === undefined) return part
  part.bytes.set(header.bytes.subarray(offset, offset + length))
  part.known.set(header.known.subarray(offset, offset + length))
  return part
}

function hostOrder(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

/** No mark, until a rule sets one. */
export const unmarked = (): Partial => whole(new Uint8Array(4))

/** Whether a base chain of a device is asked: of its own devices alone. */
export const isOn = (devices: readonly string[], port: Port | undefined): boolean =>
  port !== undefined && devices.includes(port.name)
