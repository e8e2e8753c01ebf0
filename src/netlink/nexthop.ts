// Nexthop objects (Linux ≥ 5.3), which many routes share: struct nhmsg and NHA_* (linux/nexthop.h).
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import { Attributes, u32 } from './attributes.ts'
import { AF, familyOfNumber } from './family.ts'
import { type Message, NLM_F, Writer } from './wire.ts'

export const RTM_NEXTHOP = { put: 104, remove: 105, get: 106 } as const
const HEADER = 8
const NHA = { id: 1, group: 2, blackhole: 4, oif: 5, gateway: 6, fdb: 11 } as const
/** RTNH_F_*. */
export const RTNH_F = { dead: 1, onLink: 4, linkDown: 16 } as const

interface NexthopMessage {
  readonly id: number
  readonly linkIndex: number
  readonly via: Ip
  /** The gateway need not be on a connected prefix. */
  readonly onLink: boolean
  /** RTPROT_*. */
  readonly protocol: number
}

/** Replaces in place, and creates: routes that use it follow. ENODEV for an unknown link, ENETDOWN for one that is down. */
export const putNexthop = (n: NexthopMessage): Message => write(NLM_F.create | NLM_F.replace, 'put', n)

/** EEXIST if the id is in use. */
export const addNexthop = (n: NexthopMessage): Message => write(NLM_F.create | NLM_F.exclusive, 'add', n)

const write = (flags: number, verb: string, n: NexthopMessage): Message =>
  Writer.message(RTM_NEXTHOP.put, flags, `${verb} nexthop ${n.id} via ${n.via}`, (w) => {
    w.u8(AF[familyOf(n.via)])
      .u8(0)
      .u8(n.protocol)
      .u8(0)
      .u32(n.onLink ? RTNH_F.onLink : 0)
    w.attrU32(NHA.id, n.id).attrIp(NHA.gateway, n.via).attrU32(NHA.oif, n.linkIndex)
  })

/** Takes its routes along, unannounced. ENOENT if it isn't there. */
export const removeNexthop = (id: number): Message =>
  Writer.message(RTM_NEXTHOP.remove, 0, `remove nexthop ${id}`, (w) => w.zero(HEADER).attrU32(NHA.id, id))

/** All nexthops, or those of a link. The kernel can't filter by protocol. */
export const listNexthops = (filter: { linkIndex?: number } = {}): Message =>
  Writer.message(RTM_NEXTHOP.get, 0, 'list nexthops', (w) => {
    w.zero(HEADER)
    if (filter.linkIndex !== undefined) w.attrU32(NHA.oif, filter.linkIndex)
  })

/** As the kernel reports it: groups, blackholes and FDB nexthops have no gateway or no link. */
export interface NexthopInfo {
  readonly id: number
  readonly family: Family | undefined
  readonly linkIndex: number | undefined
  readonly via: Ip | undefined
  readonly onLink: boolean
  readonly protocol: number
  /** RTNH_F_*: `dead`, `linkDown`. */
  readonly flags: number
  readonly type: 'plain' | 'group' | 'blackhole' | 'fdb'
}

/** The nexthop in the body of an RTM_NEWNEXTHOP or RTM_DELNEXTHOP. */
export function parseNexthop(body: Uint8Array): NexthopInfo {
  const a = new Attributes(body, HEADER, 'a nexthop')
  let id = 0
  let linkIndex: number | undefined
  let via: Ip | undefined
  let type: NexthopInfo['type'] = 'plain'
  while (a.next())
    if (a.type === NHA.id) id = a.u32()
    else if (a.type === NHA.oif) linkIndex = a.u32()
    else if (a.type === NHA.gateway) via = a.ip()
    else if (a.type === NHA.group) type = 'group'
    else if (a.type === NHA.blackhole) type = 'blackhole'
    else if (a.type === NHA.fdb) type = 'fdb'
  const flags = u32(body, 4)
  return {
    id,
    family: familyOfNumber(body[0]),
    linkIndex,
    via,
    onLink: (flags & RTNH_F.onLink) !== 0,
    protocol: body[2] ?? 0,
    flags,
    type,
  }
}
