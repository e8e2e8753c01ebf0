// Addresses of links: struct ifaddrmsg and IFA_* (linux/if_addr.h).
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import { Attributes, u32 } from './attributes.ts'
import { malformed } from './error.ts'
import { AF, familyOfNumber } from './family.ts'
import type { Volatile } from './imprint.ts'
import { type Message, NLM_F, Writer } from './wire.ts'

export const RTM_ADDRESS = { put: 20, remove: 21, get: 22 } as const
const HEADER = 8
const IFA = { address: 1, local: 2, cacheInfo: 6, flags: 8 } as const
/** Lifetimes that run down, and ages. */
export const ADDRESS_VOLATILE: Volatile = { header: HEADER, attribute: IFA.cacheInfo }
/** IFA_F_*. `temporary` is IFA_F_SECONDARY of an IPv4 address: not the first of its prefix on the link. */
export const IFA_F = {
  temporary: 0x01,
  noDad: 0x02,
  deprecated: 0x20,
  permanent: 0x80,
  tentative: 0x40,
  dadFailed: 0x08,
  noPrefixRoute: 0x200,
} as const
/** RT_SCOPE_*: how far an address or route is valid. */
export const SCOPE = { universe: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const

export interface AddressMessage {
  readonly linkIndex: number
  readonly ip: Ip
  /** Prefix length; the kernel adds the connected route of that prefix. */
  readonly length: number
  /** IFA_F_*; IPv6 wants `noDad` where the address must serve at once. */
  readonly flags?: number
  /** SCOPE; IPv4 only: the kernel derives it for IPv6. */
  readonly scope?: number
}

/** Adds the address, or does nothing if the link has it with this length. EINVAL for a length the family lacks. */
export const putAddress = (a: AddressMessage): Message =>
  request(RTM_ADDRESS.put, NLM_F.create | NLM_F.replace, 'put', a)

/** EADDRNOTAVAIL if the link hasn't got it with this length. */
export const removeAddress = (a: AddressMessage): Message => request(RTM_ADDRESS.remove, 0, 'remove', a)

/** All addresses, or those of a family or link. */
export const listAddresses = (filter: { family?: Family; linkIndex?: number } = {}): Message =>
  Writer.message(RTM_ADDRESS.get, 0, 'list addresses', (w) =>
    w.u32(filter.family === undefined ? AF.unspec : AF[filter.family]).u32(filter.linkIndex ?? 0),
  )

const request = (type: number, flags: number, verb: string, a: AddressMessage): Message =>
  Writer.message(type, flags, `${verb} address ${a.ip}/${a.length} on link ${a.linkIndex}`, (w) => {
    const flags = a.flags ?? 0
    w.u8(AF[familyOf(a.ip)])
      .u8(a.length)
      .u8(flags > 0xff ? 0 : flags)
      .u8(a.scope ?? SCOPE.universe)
      .u32(a.linkIndex)
    w.attrIp(IFA.local, a.ip).attrIp(IFA.address, a.ip)
    if (flags > 0xff) w.attrU32(IFA.flags, flags)
  })

/** The address in the body of an RTM_NEWADDR or RTM_DELADDR; undefined for a family we don't know. */
export function parseAddress(body: Uint8Array): Required<AddressMessage> | undefined {
  const a = new Attributes(body, HEADER, 'an address')
  if (familyOfNumber(body[0]) === undefined) return undefined
  let flags = body[2] ?? 0
  let local: Ip | undefined
  let peer: Ip | undefined
  while (a.next())
    if (a.type === IFA.local) local = a.ip()
    else if (a.type === IFA.address) peer = a.ip()
    else if (a.type === IFA.flags) flags = a.u32()
  // IFA_ADDRESS is the far end of a point-to-point link, else the address itself; IPv6 sends IFA_LOCAL only with a peer.
  const ip = local ?? peer
  if (ip === undefined) throw malformed('an address message without an address')
  return { linkIndex: u32(body, 4), ip, length: body[1] ?? 0, flags, scope: body[3] ?? 0 }
}
