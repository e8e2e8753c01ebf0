// What a tap lets through, in classic BPF (linux/filter.h; networking/filter.rst): echo replies to us, and large packets
// that leave for peers who aren't heard of already. Pure.
import type { Family } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'
import type { Instruction } from '../netlink/filter.ts'

export interface Heed {
  /** ICMP identifier of our probes. */
  readonly id: number
  /** Peers whose large packets are no news now; `all`: of none. */
  readonly except: readonly Mac[] | 'all'
}

/** A frame of so many bytes is large: what is smaller passes any path that is worth the name. */
export const LARGE_BYTES = 1000
/** More peers at once than this are heard of together later. */
export const MOST_EXCEPTED = 64

const LOAD_WORD = 0x20
const LOAD_HALF = 0x28
const LOAD_BYTE = 0x30
const LOAD_LENGTH = 0x80
const LOAD_HALF_AT_X = 0x48
const LOAD_BYTE_AT_X = 0x50
/** X becomes four times the low four bits of a byte: the length of an IPv4 header. */
const X_IS_HEADER = 0xb1
const IF_EQUAL = 0x15
const IF_AT_LEAST = 0x35
const IF_ANY_BIT = 0x45
const RETURN = 0x06
/** SKF_AD_OFF + SKF_AD_PKTTYPE, which is PACKET_OUTGOING for what leaves. */
const PACKET_TYPE = 0xfffff000 + 4
const OUTGOING = 4
/** Bytes that are kept: the Ethernet header; all headers with the nonce of an answer. */
const KEEP_HEADER = 14
const KEEP_ANSWER = 128

const instruction = (code: number, k: number, yes = 0, no = 0): Instruction => ({ code, yes, no, k })
const DROP = instruction(RETURN, 0)
/** Goes on if the value is `k`, else drops. */
const must = (k: number): readonly Instruction[] => [instruction(IF_EQUAL, k, 1, 0), DROP]

export function tapProgram(family: Family, { id, except }: Heed): readonly Instruction[] {
  const answers = family === 'ipv4' ? answersOfIpv4(id) : answersOfIpv6(id)
  const leaving =
    except === 'all'
      ? [DROP]
      : [
          instruction(LOAD_LENGTH, 0),
          instruction(IF_AT_LEAST, LARGE_BYTES, 1, 0),
          DROP,
          // The last four bytes of the MAC: what others have in common with it is left out too, which does no harm.
          instruction(LOAD_WORD, 2),
          ...except.flatMap((mac) => [instruction(IF_EQUAL, tailOf(mac), 0, 1), DROP]),
          instruction(RETURN, KEEP_HEADER),
        ]
  return [
    instruction(LOAD_WORD, PACKET_TYPE),
    instruction(IF_EQUAL, OUTGOING, 0, 1),
    instruction(JUMP, answers.length),
    ...answers,
    ...leaving,
  ]
}
const JUMP = 0x05

const tailOf = (mac: Mac): number => Number.parseInt(mac.slice(6).replaceAll(':', ''), 16)

const answersOfIpv4 = (id: number): readonly Instruction[] => [
  instruction(LOAD_HALF, 12),
  ...must(0x0800),
  instruction(LOAD_BYTE, 14 + 9),
  ...must(1),
  // A later fragment has no ICMP header.
  instruction(LOAD_HALF, 14 + 6),
  instruction(IF_ANY_BIT, 0x1fff, 0, 1),
  DROP,
  instruction(X_IS_HEADER, 14),
  instruction(LOAD_BYTE_AT_X, 14),
  ...must(0),
  instruction(LOAD_HALF_AT_X, 14 + 4),
  ...must(id),
  instruction(RETURN, KEEP_ANSWER),
]

/** Whole, or the first of several fragments. */
function answersOfIpv6(id: number): readonly Instruction[] {
  const icmpAt = (at: number) => [
    instruction(LOAD_BYTE, at),
    ...must(129),
    instruction(LOAD_HALF, at + 4),
    ...must(id),
    instruction(RETURN, KEEP_ANSWER),
  ]
  const whole = icmpAt(54)
  return [
    instruction(LOAD_HALF, 12),
    ...must(0x86dd),
    instruction(LOAD_BYTE, 14 + 6),
    instruction(IF_EQUAL, 58, 0, whole.length),
    ...whole,
    ...must(44),
    instruction(LOAD_BYTE, 54),
    ...must(58),
    instruction(LOAD_HALF, 56),
    instruction(IF_ANY_BIT, 0xfff8, 0, 1),
    DROP,
    ...icmpAt(62),
  ]
}
