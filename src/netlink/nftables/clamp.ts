// The rule that keeps TCP segments small enough for the routes both ways, in the expressions that nft makes of
// `oifname "flannel.1" tcp flags syn / syn,rst tcp option maxseg size set rt mtu`, written and read back.
import { Attributes } from '../attributes.ts'
import type { Writer } from '../wire.ts'
import { expression, NFT_CMP, NFT_REG } from './expression.ts'
import { fieldsOf, nameAndData, only, u32, type Fields } from './parse-expression.ts'

/** Which packets: those that came by the device, or are to leave by it. */
export interface Clamp {
  readonly by: 'iifname' | 'oifname'
  readonly device: string
}

/** enum nft_meta_keys */
const META = { iifname: 6, oifname: 7, l4proto: 16 } as const
const PAYLOAD_TRANSPORT_HEADER = 2
const RT_TCPMSS = 3
const BYTEORDER_HTON = 1
const EXTHDR_OP_TCPOPT = 1
const IPPROTO_TCP = 6
/** Where a TCP header has its flags, and which of them (RFC 9293 §3.1). */
const TCP_FLAGS = { offset: 13, syn: 2, synRst: 6 } as const
/** TCPOPT_MSS; its value comes after its kind and length. */
const MSS = { kind: 2, offset: 2, bytes: 2 } as const
const IFNAMSIZ = 16
const NFTA_DATA_VALUE = 1

/** Expressions by name with their attributes: numbers are 32 bits in network order, `u8` a byte, bytes a nest of data. */
type Value = number | Uint8Array | { readonly u8: number }
interface Expression {
  readonly name: string
  readonly fields: Readonly<Record<number, Value>>
}

const value = NFT_REG.value
const compare = (data: Uint8Array): Expression => ({
  name: 'cmp',
  fields: { 1: value, 2: NFT_CMP.eq, 3: data },
})
const meta = (key: number): Expression => ({ name: 'meta', fields: { 2: key, 1: value } })

function expressionsOf({ by, device }: Clamp): readonly Expression[] {
  const name = Buffer.alloc(IFNAMSIZ)
  name.write(device)
  return [
    meta(META[by]),
    compare(name),
    meta(META.l4proto),
    compare(Uint8Array.of(IPPROTO_TCP)),
    { name: 'payload', fields: { 1: value, 2: PAYLOAD_TRANSPORT_HEADER, 3: TCP_FLAGS.offset, 4: 1 } },
    {
      name: 'bitwise',
      fields: { 1: value, 2: value, 3: 1, 4: Uint8Array.of(TCP_FLAGS.synRst), 5: Uint8Array.of(0) },
    },
    compare(Uint8Array.of(TCP_FLAGS.syn)),
    { name: 'rt', fields: { 2: RT_TCPMSS, 1: value } },
    { name: 'byteorder', fields: { 1: value, 2: value, 3: BYTEORDER_HTON, 4: MSS.bytes, 5: MSS.bytes } },
    {
      name: 'exthdr',
      fields: { 7: value, 2: { u8: MSS.kind }, 3: MSS.offset, 4: MSS.bytes, 6: EXTHDR_OP_TCPOPT },
    },
  ]
}

export function writeClamp(w: Writer, clamp: Clamp): void {
  for (const { name, fields } of expressionsOf(clamp))
    expression(w, name, (d) => {
      for (const [type, field] of Object.entries(fields))
        if (typeof field === 'number') d.attrBe32(Number(type), field)
        else if ('u8' in field) d.attrU8(Number(type), field.u8)
        else d.nest(Number(type), (v) => v.attrBytes(NFTA_DATA_VALUE, field))
    })
}

/** The rule made of the expressions in a list, where it is such a one. */
export function parseClamp(list: Attributes): Clamp | undefined {
  const found: { name: string; fields: Fields }[] = []
  while (list.next()) {
    const { name, data } = nameAndData(list.nested())
    if (data === undefined) return undefined
    found.push({ name, fields: fieldsOf(data) })
  }
  const key = found[0] && u32(found[0].fields, 2)
  const by = key === META.iifname ? 'iifname' : key === META.oifname ? 'oifname' : undefined
  const device = only(found[1]?.fields.get(3), NFTA_DATA_VALUE)
  if (by === undefined || device === undefined) return undefined
  const clamp = { by, device: Buffer.from(device).toString().replace(/\0+$/, '') } as const
  const expected = expressionsOf(clamp)
  const isSame =
    expected.length === found.length &&
    expected.every((want, index) => {
      const have = found[index]
      return (
        have?.name === want.name &&
        Object.entries(want.fields).every(([type, field]) => has(have.fields, Number(type), field))
      )
    })
  return isSame ? clamp : undefined
}

function has(fields: Fields, type: number, field: Value): boolean {
  if (typeof field === 'number') return u32(fields, type) === field
  if ('u8' in field) return fields.get(type)?.[0] === field.u8
  const data = only(fields.get(type), NFTA_DATA_VALUE)
  return data !== undefined && Buffer.from(data).equals(field)
}
