// Socket filters for monitors: a few classic BPF instructions that let the kernel drop notifications we don't care
// about before they wake this process (linux/filter.h; networking/filter.rst).
import { allocate } from '../sys/arena.ts'
import { setsockopt } from '../sys/libc.ts'
import { RTM_ADDRESS } from './address.ts'
import { RTM_LINK } from './link.ts'
import { RTM_NEIGHBOUR } from './neighbour.ts'
import { SO, SOL_SOCKET } from './open.ts'
import { RTA, RTM_ROUTE, RTMSG_BYTES } from './route.ts'
import { HEADER_BYTES, NLM_F } from './wire.ts'

/** Notifications of `types` pass only if their field is one of `values`; by every rule that names the type. */
export interface FilterRule {
  readonly types: readonly number[]
  /** Of the field, from the start of the family's header. */
  readonly offset: number
  readonly bytes: 1 | 4
  readonly values: Iterable<number>
  readonly drops?: true
  /** Besides, what has one of these flags passes (nlmsg_flags). */
  readonly orFlags?: number
  /** Besides, what has this attribute of four bytes with one of these values, behind a header of so many bytes. */
  readonly orAttribute?: {
    readonly header: number
    readonly type: number
    readonly values: readonly number[]
  }
}

/** Only neighbours and FDB entries of these links (ndm_ifindex). */
export const neighboursOf = (linkIndexes: Iterable<number>): FilterRule => ({
  types: [RTM_NEIGHBOUR.put, RTM_NEIGHBOUR.remove],
  offset: 4,
  bytes: 4,
  values: linkIndexes,
})
/** Only addresses of these links (ifa_index). */
export const addressesOf = (linkIndexes: Iterable<number>): FilterRule => ({
  types: [RTM_ADDRESS.put, RTM_ADDRESS.remove],
  offset: 4,
  bytes: 4,
  values: linkIndexes,
})
/** Only these links (ifi_index). */
export const linksOf = (linkIndexes: Iterable<number>): FilterRule => ({
  types: [RTM_LINK.put, RTM_LINK.remove],
  offset: 4,
  bytes: 4,
  values: linkIndexes,
})
export const noRoutes: FilterRule = {
  types: [RTM_ROUTE.put, RTM_ROUTE.remove],
  offset: 5,
  bytes: 1,
  values: [],
}
/**
 * Only routes of these protocols, those on these links, and those that replace another's: it may be one of ours that
 * they took the place of.
 */
export const routesOf = (protocols: Iterable<number>, linkIndexes: readonly number[] = []): FilterRule => ({
  types: [RTM_ROUTE.put, RTM_ROUTE.remove],
  offset: 5,
  bytes: 1,
  values: protocols,
  orFlags: NLM_F.replace,
  ...(linkIndexes.length === 0
    ? {}
    : { orAttribute: { header: RTMSG_BYTES, type: RTA.oif, values: linkIndexes } }),
})
/** None of these types that a request of this socket caused (nlmsg_pid): its acknowledgement has told us. */
export const exceptOwn = (types: readonly number[], port: number): FilterRule => ({
  types,
  offset: 12 - HEADER_BYTES,
  bytes: 4,
  values: [port],
  drops: true,
})

/** struct sock_filter. */
export interface Instruction {
  readonly code: number
  readonly yes: number
  readonly no: number
  readonly k: number
}
const LOAD_WORD = 0x20
const LOAD_HALF = 0x28
const LOAD_BYTE = 0x30
const JUMP_IF_EQUAL = 0x15
const JUMP_IF_ANY_BIT = 0x45
const JUMP = 0x05
const RETURN = 0x06
const LOAD_VALUE = 0x00
const LOAD_VALUE_X = 0x01
const LOAD_WORD_AT_X = 0x40
const A_TO_X = 0x07
/** SKF_AD_OFF + SKF_AD_NLATTR: where the attribute of type X is, searched from A on; 0 if there is none. */
const FIND_ATTRIBUTE = 0xfffff000 + 12
const PASS: Instruction = { code: RETURN, yes: 0, no: 0, k: 0xffffffff }
const DROP: Instruction = { code: RETURN, yes: 0, no: 0, k: 0 }
/** BPF_MAXINSNS. */
const MOST = 4096

/** BPF loads in network order; fields of netlink are in ours. */
const swap16 = (v: number): number => ((v & 0xff) << 8) | (v >>> 8)
const swap32 = (v: number): number => (swap16(v & 0xffff) * 0x10000 + swap16(v >>> 16)) >>> 0

/** Rule by rule: unless the type is one of its, or a value fits, drop. What no rule drops passes. */
export function compile(rules: readonly FilterRule[]): Instruction[] {
  const program: Instruction[] = []
  for (const rule of rules) {
    const values = [...rule.values]
    const load = {
      code: rule.bytes === 4 ? LOAD_WORD : LOAD_BYTE,
      yes: 0,
      no: 0,
      k: HEADER_BYTES + rule.offset,
    }
    const attribute = attributeChecks(rule)
    const flags: Instruction[] =
      rule.orFlags === undefined
        ? []
        : [
            { code: LOAD_HALF, yes: 0, no: 0, k: 6 },
            { code: JUMP_IF_ANY_BIT, yes: 0, no: 1, k: swap16(rule.orFlags) },
            { code: JUMP, yes: 0, no: 0, k: attribute.length + 1 },
          ]
    const checks = anyOf(values, rule.bytes, flags.length + attribute.length + 1)
    const body =
      rule.drops === true
        ? [load, ...checks.map((check) => (check.code === JUMP ? DROP : check))]
        : [load, ...checks, ...flags, ...attribute, DROP]
    program.push({ code: LOAD_HALF, yes: 0, no: 0, k: 4 })
    for (const [index, type] of rule.types.entries()) {
      // On equality over the remaining types and the jump that leaves the rule, to its body.
      program.push({ code: JUMP_IF_EQUAL, yes: rule.types.length - index, no: 0, k: swap16(type) })
    }
    program.push({ code: JUMP, yes: 0, no: 0, k: body.length }, ...body)
  }
  program.push(PASS)
  if (program.length > MOST)
    throw new RangeError(`a socket filter of ${program.length} instructions; the kernel takes ${MOST}`)
  return program
}

/** If what is loaded is one of the values, jumps over the checks that are left, and `beyond` instructions more. */
const anyOf = (values: readonly number[], bytes: 1 | 4, beyond: number): Instruction[] =>
  values.flatMap((value, index): Instruction[] => [
    { code: JUMP_IF_EQUAL, yes: 0, no: 1, k: bytes === 4 ? swap32(value >>> 0) : value },
    { code: JUMP, yes: 0, no: 0, k: 2 * (values.length - index - 1) + beyond },
  ])

/** Over the drop, if the attribute has one of the values. Without it some other four bytes are compared: no harm. */
const attributeChecks = ({ orAttribute }: FilterRule): Instruction[] =>
  orAttribute === undefined
    ? []
    : [
        { code: LOAD_VALUE, yes: 0, no: 0, k: HEADER_BYTES + orAttribute.header },
        { code: LOAD_VALUE_X, yes: 0, no: 0, k: orAttribute.type },
        { code: LOAD_WORD, yes: 0, no: 0, k: FIND_ATTRIBUTE },
        { code: A_TO_X, yes: 0, no: 0, k: 0 },
        { code: LOAD_WORD_AT_X, yes: 0, no: 0, k: 4 },
        ...anyOf(orAttribute.values, 4, 1),
      ]

/** Replaces the socket's filter in one step. */
export function attachFilter(fd: number, rules: readonly FilterRule[]): void {
  attachProgram(fd, compile(rules))
}

/** As `attachFilter`, for any socket. */
export function attachProgram(fd: number, program: readonly Instruction[]): void {
  using block = allocate(16 + program.length * 8)
  // struct sock_fprog: the count, and the address of the instructions.
  block.view.setUint16(0, program.length, true)
  block.view.setBigUint64(8, BigInt(block.address + 16), true)
  for (const [index, { code, yes, no, k }] of program.entries()) {
    const at = 16 + index * 8
    block.view.setUint16(at, code, true)
    block.view.setUint8(at + 2, yes)
    block.view.setUint8(at + 3, no)
    block.view.setUint32(at + 4, k, true)
  }
  setsockopt(fd, SOL_SOCKET, SO.attachFilter, block.address, 16)
}
