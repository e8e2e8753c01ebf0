// Expressions of a rule read back into matches and a verdict. What we don't write ourselves isn't guessed at: the
// rule is then unrecognised, whatever it may do.
import type { NftMatch, NftRule, NftVerdict } from '../../model/kernel.ts'
import { ipFromBytes, type Family } from '../../model/ip.ts'
import { baseOf, prefixOf } from '../../model/prefix.ts'
import type { Attributes } from '../attributes.ts'
import {
  ADDRESS_OFFSETS,
  maskOf,
  NFT_CMP,
  NFT_META_MARK,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_REG,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  VERDICTS,
} from './expression.ts'

/** What register 1 holds. */
interface Loaded {
  readonly what: 'mark' | 'saddr' | 'daddr'
  /** Bytes loaded, and bytes of the whole field. */
  readonly bytes: number
  readonly width: number
  readonly mask: Uint8Array | undefined
}

/** The rule made of the expressions in a list, or undefined where it is none of ours. */
export function parseExpressions(list: Attributes, family: Family): NftRule | undefined {
  const matches: NftMatch[] = []
  let loaded: Loaded | undefined
  let verdict: NftVerdict | undefined
  while (list.next()) {
    const { name, data } = nameAndData(list.nested())
    // A verdict ends the rule: nothing may follow it.
    if (data === undefined || verdict !== undefined) return undefined
    const fields = fieldsOf(data)
    switch (name) {
      case 'meta':
      case 'payload':
        if (loaded !== undefined) return undefined
        loaded = name === 'meta' ? parseMeta(fields) : parsePayload(fields, family)
        if (loaded === undefined) return undefined
        break
      case 'bitwise':
        loaded = loaded && parseMask(fields, loaded)
        if (loaded === undefined) return undefined
        break
      case 'cmp': {
        const match: NftMatch | undefined = loaded && parseCompare(fields, loaded)
        if (match === undefined) return undefined
        matches.push(match)
        loaded = undefined
        break
      }
      case 'immediate':
      case 'masq':
        verdict = name === 'masq' ? parseMasquerade(fields) : parseImmediate(fields)
        if (verdict === undefined) return undefined
        break
      default:
        return undefined
    }
  }
  return verdict === undefined || loaded !== undefined ? undefined : { matches, verdict }
}

export function nameAndData(element: Attributes): { name: string; data: Attributes | undefined } {
  let name = ''
  let data: Attributes | undefined
  while (element.next()) {
    if (element.type === 1) name = element.text()
    else if (element.type === 2) data = element.nested()
  }
  return { name, data }
}

function parseImmediate(f: Fields): NftVerdict | undefined {
  if (u32(f, 1) !== NFT_REG.verdict) return undefined
  const verdict = only(f.get(2), 2)
  const code = verdict && only(verdict, 1)
  if (code?.length !== 4) return undefined
  const value = new DataView(code.buffer, code.byteOffset, 4).getUint32(0)
  if (value === VERDICTS.accept) return { verdict: 'accept' }
  return value === VERDICTS.return ? { verdict: 'return' } : undefined
}

/** Flags alone: a port range in registers is none of ours. */
function parseMasquerade(f: Fields): NftVerdict | undefined {
  const flags = u32(f, 1) ?? 0
  const known = flags === 0 || flags === NF_NAT_RANGE_PROTO_RANDOM_FULLY
  return known && [...f.keys()].every((type) => type === 1)
    ? { verdict: 'masquerade', fullyRandom: flags !== 0 }
    : undefined
}

/** Values of an expression by attribute number; nests keep their bytes. */
export type Fields = ReadonlyMap<number, Uint8Array>

export function fieldsOf(attributes: Attributes): Fields {
  const fields = new Map<number, Uint8Array>()
  while (attributes.next()) fields.set(attributes.type, attributes.bytes())
  return fields
}

export function u32(fields: Fields, type: number): number | undefined {
  const bytes = fields.get(type)
  return bytes?.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) : undefined
}

/** The one attribute of `type` inside a nest of one attribute. */
export function only(bytes: Uint8Array | undefined, type: number): Uint8Array | undefined {
  if (bytes === undefined || bytes.length < 4) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const length = view.getUint16(0, true)
  const alone = length >= 4 && length <= bytes.length && ((length + 3) & ~3) >= bytes.length
  return alone && (view.getUint16(2, true) & 0x3fff) === type ? bytes.subarray(4, length) : undefined
}

const parseMeta = (f: Fields): Loaded | undefined =>
  u32(f, 1) === NFT_REG.value && u32(f, 2) === NFT_META_MARK
    ? { what: 'mark', bytes: 4, width: 4, mask: undefined }
    : undefined

function parsePayload(f: Fields, family: Family): Loaded | undefined {
  const bytes = u32(f, 4) ?? 0
  const width = family === 'ipv4' ? 4 : 16
  if (u32(f, 1) !== NFT_REG.value || u32(f, 2) !== NFT_PAYLOAD_NETWORK_HEADER) return undefined
  if (bytes < 1 || bytes > width) return undefined
  const offsets = ADDRESS_OFFSETS[family]
  const offset = u32(f, 3)
  const what = offset === offsets.saddr ? 'saddr' : offset === offsets.daddr ? 'daddr' : undefined
  return what && { what, bytes, width, mask: undefined }
}

function parseMask(f: Fields, loaded: Loaded): Loaded | undefined {
  const mask = only(f.get(4), 1)
  const xor = only(f.get(5), 1)
  const plain =
    u32(f, 1) === NFT_REG.value &&
    u32(f, 2) === NFT_REG.value &&
    u32(f, 3) === loaded.bytes &&
    (u32(f, 6) ?? 0) === 0 &&
    xor?.every((byte) => byte === 0) === true
  return plain && mask?.length === loaded.bytes && loaded.mask === undefined ? { ...loaded, mask } : undefined
}

function parseCompare(f: Fields, loaded: Loaded): NftMatch | undefined {
  const op = u32(f, 2)
  const value = only(f.get(3), 1)
  if (u32(f, 1) !== NFT_REG.value || (op !== NFT_CMP.eq && op !== NFT_CMP.neq)) return undefined
  if (value?.length !== loaded.bytes) return undefined
  const not = op === NFT_CMP.neq
  if (loaded.what === 'mark')
    return not
      ? undefined
      : { match: 'mark', value: native(value), mask: loaded.mask ? native(loaded.mask) : 0xffffffff }
  return parsePrefix(loaded, loaded.what, value, not)
}

const native = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)

/** Either so many leading bytes of the address, or all of it under a prefix's mask. */
function parsePrefix(
  loaded: Loaded,
  match: 'saddr' | 'daddr',
  value: Uint8Array,
  not: boolean,
): NftMatch | undefined {
  const bits = loaded.mask === undefined ? loaded.bytes * 8 : onesOf(loaded.mask)
  if (bits === undefined || (loaded.mask && loaded.bytes !== loaded.width)) return undefined
  const address = new Uint8Array(loaded.width)
  address.set(value)
  const ip = ipFromBytes(address)
  const prefix = prefixOf(ip, bits)
  return baseOf(prefix) === ip ? { match, not, prefix } : undefined
}

/** The length of the prefix that has this mask. */
function onesOf(mask: Uint8Array): number | undefined {
  const bits = mask.reduce((sum, byte) => sum + (Math.clz32(~(byte << 24)) & 31), 0)
  return maskOf(bits, mask.length).every((byte, i) => byte === mask[i]) ? bits : undefined
}
