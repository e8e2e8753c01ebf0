// What every nf_tables message begins with (struct nfgenmsg, linux/netfilter/nfnetlink.h), and the message numbers
// (enum nf_tables_msg_types, linux/netfilter/nf_tables.h).
import type { Family } from '../../model/ip.ts'
import { Writer, type Message } from '../wire.ts'

const NFNL_SUBSYS_NFTABLES = 10
const type = (message: number): number => (NFNL_SUBSYS_NFTABLES << 8) | message

export const NFT_MSG = {
  newTable: type(0),
  getTable: type(1),
  delTable: type(2),
  newChain: type(3),
  getChain: type(4),
  delChain: type(5),
  newRule: type(6),
  getRule: type(7),
  delRule: type(8),
  getSet: type(10),
  getSetElements: type(13),
  newGeneration: type(15),
  getGeneration: type(16),
} as const

/** NFPROTO_*, which equal AF_*. */
const FAMILIES = { ipv4: 2, ipv6: 10 } as const

/** Bytes of struct nfgenmsg. */
export const NFGEN_BYTES = 4

/** A message on something in a table of `family`; 0 on a dump is every family. */
export const nftMessage = (
  type: number,
  flags: number,
  family: Family,
  subject: string,
  build: (w: Writer) => void,
): Message =>
  Writer.message(type, flags, subject, (w) => {
    w.u8(FAMILIES[family]).u8(0).be16(0)
    build(w)
  })

/** NFNL_MSG_BATCH_BEGIN and _END: all between them happens, or nothing. */
export const batchBegin = (): Message => boundary(0x10, 'begin an nf_tables transaction')
export const batchEnd = (): Message => boundary(0x11, 'commit an nf_tables transaction')
const boundary = (type: number, subject: string): Message =>
  Writer.message(type, 0, subject, (w) => w.u8(0).u8(0).be16(NFNL_SUBSYS_NFTABLES))

/** A comment as nft keeps it in userdata: type 0, length, text, NUL (libnftnl's nftnl_udata). */
export const commentData = (comment: string): Uint8Array => {
  const text = new TextEncoder().encode(`${comment}\0`)
  if (text.length > 128) throw new RangeError(`a comment has 127 bytes at most: ${comment}`)
  return Uint8Array.of(0, text.length, ...text)
}

/** The comment in userdata, if there is one. */
export function parseComment(userdata: Uint8Array): string | undefined {
  const length = userdata[1] ?? 0
  if (userdata[0] !== 0 || length < 1 || userdata.length < 2 + length) return undefined
  return new TextDecoder().decode(userdata.subarray(2, 1 + length))
}
