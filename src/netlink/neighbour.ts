// Neighbours (ARP, NDP) and forwarding database entries: struct ndmsg and NDA_* (linux/neighbour.h).
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'
import { Attributes, u16, u32 } from './attributes.ts'
import { AF, familyOfNumber } from './family.ts'
import type { Volatile } from './imprint.ts'
import { type Message, NLM_F, Writer } from './wire.ts'

export const RTM_NEIGHBOUR = { put: 28, remove: 29, get: 30 } as const
const HEADER = 12
const NDA = { dst: 1, mac: 2, cacheInfo: 3, port: 6, vni: 7, ifindex: 8, master: 9 } as const
/** Offset of ndm_type in struct ndmsg; RTN_UNICAST; struct nda_cacheinfo. */
const NDM_TYPE = 11
const RTN_UNICAST = 1
const CACHE_INFO_BYTES = 16
/** Ages and use counts. */
export const NEIGHBOUR_VOLATILE: Volatile = { header: HEADER, attribute: NDA.cacheInfo }
/** NUD_*: what the kernel thinks of an entry. */
export const NUD = {
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noArp: 0x40,
  permanent: 0x80,
} as const
/** NTF_*: `self` is the device's own FDB, `master` that of the bridge it is in. */
export const NTF = { self: 0x02, master: 0x04, proxy: 0x08, externallyLearned: 0x10, router: 0x80 } as const

interface NeighbourMessage {
  readonly linkIndex: number
  readonly ip: Ip
  /** Absent in entries that aren't resolved. */
  readonly mac: Mac | undefined
  /** NUD_*; permanent unless told otherwise. */
  readonly state?: number
  /** NTF_*. */
  readonly flags?: number
}
export interface FdbMessage {
  readonly linkIndex: number
  readonly mac: Mac
  /** The remote VTEP of a VXLAN entry. */
  readonly dst: Ip | undefined
  /** NUD_*; permanent unless told otherwise. */
  readonly state?: number
  /** NTF_*; `self` unless told otherwise. */
  readonly flags?: number
  /** The bridge the link is in; only what the kernel reports. */
  readonly master?: number | undefined
  /** Where they aren't the device's own: UDP port, VNI, interface; only what the kernel reports. */
  readonly port?: number | undefined
  readonly vni?: number | undefined
  readonly through?: number | undefined
}

/** Creates or replaces. ENODEV for an unknown link, EINVAL for a link that does no resolution of this family. */
export const putNeighbour = (n: NeighbourMessage): Message =>
  neighbour(RTM_NEIGHBOUR.put, NLM_F.create | NLM_F.replace, 'put', n)

/** ENOENT if it isn't there. */
export const removeNeighbour = (n: Pick<NeighbourMessage, 'linkIndex' | 'ip'>): Message =>
  neighbour(RTM_NEIGHBOUR.remove, 0, 'remove', { ...n, mac: undefined })

const neighbour = (type: number, flags: number, verb: string, n: NeighbourMessage): Message =>
  Writer.message(type, flags, `${verb} neighbour ${n.ip} on link ${n.linkIndex}`, (w) => {
    header(w, AF[familyOf(n.ip)], n.linkIndex, n.state ?? NUD.permanent, n.flags ?? 0)
    w.attrIp(NDA.dst, n.ip)
    if (n.mac !== undefined) w.attrMac(NDA.mac, n.mac)
  })

/** Creates or replaces. ENODEV for an unknown link; EOPNOTSUPP for one without an FDB. */
export const putFdb = (f: FdbMessage): Message =>
  fdb(RTM_NEIGHBOUR.put, NLM_F.create | NLM_F.replace, 'put', f)

/** ENOENT if it isn't there. With `dst` only the entry that leads there. */
export const removeFdb = (f: FdbMessage): Message => fdb(RTM_NEIGHBOUR.remove, 0, 'remove', f)

const fdb = (type: number, flags: number, verb: string, f: FdbMessage): Message =>
  Writer.message(type, flags, `${verb} FDB entry ${f.mac} on link ${f.linkIndex}`, (w) => {
    header(w, AF.bridge, f.linkIndex, f.state ?? NUD.permanent, f.flags ?? NTF.self)
    w.attrMac(NDA.mac, f.mac)
    if (f.dst !== undefined) w.attrIp(NDA.dst, f.dst)
  })

/**
 * How the kernel's notification of an FDB entry begins that was put by a request of this body, for `isAnnounced`: the
 * same but for its type (RTN_UNICAST), and then nothing but ages and use counts.
 */
export function fdbAnnouncement(request: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(request.length + 4)
  bytes.set(request)
  bytes[NDM_TYPE] = RTN_UNICAST
  bytes[request.length] = 4 + CACHE_INFO_BYTES
  bytes[request.length + 2] = NDA.cacheInfo
  return bytes
}
export const isAnnounced = (body: Uint8Array, announcement: Uint8Array): boolean =>
  body.length === announcement.length + CACHE_INFO_BYTES &&
  Buffer.compare(body.subarray(0, announcement.length), announcement) === 0

const header = (w: Writer, family: number, linkIndex: number, state: number, flags: number): Writer =>
  w.u32(family).u32(linkIndex).u16(state).u8(flags).u8(0)

/** Neighbours of a family, of one link if given. Proxy entries are not among them. */
export const listNeighbours = (filter: { family: Family; linkIndex?: number }): Message =>
  list(AF[filter.family], filter.linkIndex, 'list neighbours')

/** FDB entries of all links, or of one. */
export const listFdb = (filter: { linkIndex?: number } = {}): Message =>
  list(AF.bridge, filter.linkIndex, 'list FDB entries')

const list = (family: number, linkIndex: number | undefined, subject: string): Message =>
  Writer.message(RTM_NEIGHBOUR.get, 0, subject, (w) => {
    w.u32(family).zero(HEADER - 4)
    if (linkIndex !== undefined) w.attrU32(NDA.ifindex, linkIndex)
  })

type NeighbourInfo =
  | ({ readonly kind: 'neighbour' } & Required<NeighbourMessage>)
  | ({ readonly kind: 'fdb' } & Required<FdbMessage>)

/**
 * The entry in the body of an RTM_NEWNEIGH or RTM_DELNEIGH: both kinds share the message. Undefined for what has no
 * address of its kind (other families; FDB entries without a MAC).
 */
export function parseNeighbour(body: Uint8Array): NeighbourInfo | undefined {
  const a = new Attributes(body, HEADER, 'a neighbour')
  let dst: Ip | undefined
  let mac: Mac | undefined
  let master: number | undefined
  let port: number | undefined
  let vni: number | undefined
  let through: number | undefined
  const bridge = body[0] === AF.bridge
  if (!bridge && familyOfNumber(body[0]) === undefined) return undefined
  while (a.next())
    if (a.type === NDA.dst) dst = a.ip()
    else if (a.type === NDA.mac) mac = a.length === 6 ? a.mac() : undefined
    else if (a.type === NDA.master) master = a.u32()
    else if (a.type === NDA.port) port = a.be16()
    else if (a.type === NDA.vni) vni = a.u32()
    else if (a.type === NDA.ifindex) through = a.u32()
  const linkIndex = u32(body, 4)
  const state = u16(body, 8)
  const flags = body[10] ?? 0
  if (bridge)
    return mac === undefined
      ? undefined
      : { kind: 'fdb', linkIndex, mac, dst, state, flags, master, port, vni, through }
  return dst === undefined ? undefined : { kind: 'neighbour', linkIndex, ip: dst, mac, state, flags }
}
