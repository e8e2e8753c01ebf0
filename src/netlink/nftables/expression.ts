// The expressions a rule is made of (NFTA_EXPR_*, linux/netfilter/nf_tables.h), written as nft writes them: a match
// loads a field into register 1, masks it if need be, and compares it; a verdict ends the rule.
import type { NftMatch, NftVerdict } from '../../model/kernel.ts'
import { bitsOf, ipToBytes, type Family } from '../../model/ip.ts'
import { baseOf, lengthOf, type Prefix } from '../../model/prefix.ts'
import type { Writer } from '../wire.ts'

/** Register numbers (enum nft_registers): 0 takes a verdict, 1 a value of up to 16 bytes. */
export const NFT_REG = { verdict: 0, value: 1 } as const
export const NFT_PAYLOAD_NETWORK_HEADER = 1
export const NFT_META_MARK = 3
export const NFT_CMP = { eq: 0, neq: 1 } as const
/** enum nf_inet verdicts and nft_verdicts, as 32-bit numbers in network order. */
export const VERDICTS = { accept: 1, return: 0xfffffffb } as const
/** linux/netfilter/nf_nat.h */
export const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10

/** Where the addresses are in the network header, in bytes. */
export const ADDRESS_OFFSETS = {
  ipv4: { saddr: 12, daddr: 16 },
  ipv6: { saddr: 8, daddr: 24 },
} as const

const NFTA_LIST_ELEM = 1
const NFTA_EXPR = { name: 1, data: 2 } as const
const NFTA_DATA = { value: 1, verdict: 2 } as const

export function writeMatch(w: Writer, match: NftMatch, family: Family): void {
  if (match.match === 'mark') writeMark(w, match.value, match.mask)
  else writeAddress(w, match.prefix, ADDRESS_OFFSETS[family][match.match], match.not, family)
}

function writeMark(w: Writer, value: number, mask: number): void {
  expression(w, 'meta', (d) => d.attrBe32(2, NFT_META_MARK).attrBe32(1, NFT_REG.value))
  if (mask >>> 0 !== 0xffffffff) writeMask(w, hostOrder(mask))
  writeCompare(w, hostOrder(value), false)
}

/** A prefix of whole bytes is matched by loading just these; any other by masking the whole address. */
function writeAddress(w: Writer, prefix: Prefix, offset: number, not: boolean, family: Family): void {
  const bits = lengthOf(prefix)
  const address = ipToBytes(baseOf(prefix))
  if (address.length * 8 !== bitsOf(family)) throw new RangeError(`${prefix} in a table of ${family}`)
  const whole = bits % 8 === 0 && bits > 0
  const bytes = whole ? bits / 8 : address.length
  expression(w, 'payload', (d) =>
    d
      .attrBe32(1, NFT_REG.value)
      .attrBe32(2, NFT_PAYLOAD_NETWORK_HEADER)
      .attrBe32(3, offset)
      .attrBe32(4, bytes),
  )
  if (!whole) writeMask(w, maskOf(bits, bytes))
  writeCompare(w, address.subarray(0, bytes), not)
}

/** `reg 1 = (reg 1 & mask) ^ 0`: the operation of a bitwise expression that names none (NFT_BITWISE_BOOL). */
function writeMask(w: Writer, mask: Uint8Array): void {
  expression(w, 'bitwise', (d) =>
    d
      .attrBe32(1, NFT_REG.value)
      .attrBe32(2, NFT_REG.value)
      .attrBe32(3, mask.length)
      .nest(4, (v) => v.attrBytes(NFTA_DATA.value, mask))
      .nest(5, (v) => v.attrBytes(NFTA_DATA.value, new Uint8Array(mask.length))),
  )
}

function writeCompare(w: Writer, value: Uint8Array, not: boolean): void {
  expression(w, 'cmp', (d) =>
    d
      .attrBe32(1, NFT_REG.value)
      .attrBe32(2, not ? NFT_CMP.neq : NFT_CMP.eq)
      .nest(3, (v) => v.attrBytes(NFTA_DATA.value, value)),
  )
}

export function writeVerdict(w: Writer, verdict: NftVerdict): void {
  if (verdict.verdict === 'masquerade')
    expression(w, 'masq', (d) => {
      if (verdict.fullyRandom) d.attrBe32(1, NF_NAT_RANGE_PROTO_RANDOM_FULLY)
    })
  else {
    const code = VERDICTS[verdict.verdict]
    expression(w, 'immediate', (d) =>
      d
        .attrBe32(1, NFT_REG.verdict)
        .nest(2, (v) => v.nest(NFTA_DATA.verdict, (inner) => inner.attrBe32(1, code))),
    )
  }
}

export const expression = (w: Writer, name: string, build: (data: Writer) => void): void => {
  w.nest(NFTA_LIST_ELEM, (element) => element.attrText(NFTA_EXPR.name, name).nest(NFTA_EXPR.data, build))
}

/** The mask of a prefix length, in network order. */
export function maskOf(bits: number, bytes: number): Uint8Array {
  const mask = new Uint8Array(bytes)
  for (let i = 0; i < bytes; i++) mask[i] = 0xff & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8)))
  return mask
}

/** Marks are compared in the machine's own order. */
function hostOrder(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}
