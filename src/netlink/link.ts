// Links: veth pairs, bridges, VXLAN devices; struct ifinfomsg and IFLA_* (linux/if_link.h, linux/veth.h).
import type { Mac } from '../model/mac.ts'
import { Attributes, u16, u32 } from './attributes.ts'
import { parseVxlan, type VxlanAttributes, writeVxlan } from './vxlan.ts'
import { type Message, NLM_F, Writer } from './wire.ts'

export const RTM_LINK = { put: 16, remove: 17, get: 18 } as const
const HEADER = 16
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  txQueueLength: 13,
  operState: 16,
  linkInfo: 18,
  namespacePid: 19,
  namespaceFd: 28,
  extensionMask: 29,
} as const
const INFO = { kind: 1, data: 2 } as const
const VETH_INFO_PEER = 1
const RTEXT_FILTER_SKIP_STATS = 8
/** IFF_* of net/if.h. */
const IFF = { up: 0x1, loopback: 0x8, running: 0x40 } as const

/** IF_OPER_* of linux/if.h (RFC 2863). */
export const IF_OPER = { down: 2, lowerLayerDown: 3, up: 6 } as const

/** A link by index, or by name where the index isn't known. */
export type LinkRef = number | string

/** What can be said of any link, when it is made or later. */
interface LinkSettings {
  readonly up?: boolean
  readonly mtuBytes?: number
  readonly mac?: Mac
  /** Index of the bridge it joins; 0 leaves it. */
  readonly master?: number
  readonly txQueueLength?: number
  /** Moves it to this namespace: an open descriptor, or a process that lives in it. */
  readonly namespace?: { readonly fd: number } | { readonly pid: number }
}
/** A veth's other end can't be up before its first end exists: the kernel answers ENOTCONN. */
type PeerSettings = Omit<LinkSettings, 'up'> & { readonly name: string }

interface NewLink extends LinkSettings {
  readonly name: string
  readonly kind:
    | { readonly type: 'bridge' }
    | { readonly type: 'veth'; readonly peer: PeerSettings }
    | ({ readonly type: 'vxlan' } & VxlanAttributes)
}

/** Makes a link; EEXIST if the name is taken. Its MAC is set at birth, else udev may rewrite it. */
export const createLink = (link: NewLink): Message =>
  Writer.message(
    RTM_LINK.put,
    NLM_F.create | NLM_F.exclusive,
    `create ${link.kind.type} link ${link.name}`,
    (w) => {
      header(w, 0, link.up)
      w.attrText(IFLA.name, link.name)
      settings(w, link)
      w.attribute(IFLA.linkInfo, () => {
        kindName(w, link.kind.type)
        const { kind } = link
        if (kind.type === 'veth')
          w.attribute(INFO.data, () =>
            w.attribute(VETH_INFO_PEER, () => {
              header(w, 0, undefined)
              w.attrText(IFLA.name, kind.peer.name)
              settings(w, kind.peer)
            }),
          )
        else if (kind.type === 'vxlan') w.attribute(INFO.data, () => writeVxlan(w, kind))
      })
    },
  )

/**
 * Changes a link in place. Of a VXLAN device the kernel takes a new `local`, underlay link and learning; it refuses
 * another VNI, port or GBP.
 */
export const changeLink = (
  link: LinkRef,
  changes: LinkSettings & { readonly vxlan?: Partial<VxlanAttributes> },
): Message =>
  Writer.message(RTM_LINK.put, 0, `change link ${link}`, (w) => {
    refer(w, link, changes.up)
    settings(w, changes)
    const { vxlan } = changes
    if (vxlan !== undefined)
      w.attribute(IFLA.linkInfo, () => {
        kindName(w, 'vxlan')
        w.attribute(INFO.data, () => writeVxlan(w, vxlan))
      })
  })

/** Gives a link another name. By index: a name in the message is the new one. It must be down on kernels before 6.2. */
export const renameLink = (index: number, name: string): Message =>
  Writer.message(RTM_LINK.put, 0, `rename link ${index} to ${name}`, (w) => {
    header(w, index, undefined)
    w.attrText(IFLA.name, name)
  })

/** ENODEV if it isn't there. Both ends of a veth pair go together. */
export const removeLink = (link: LinkRef): Message =>
  Writer.message(RTM_LINK.remove, 0, `remove link ${link}`, (w) => refer(w, link, undefined))

/** One link: `socket.request` returns its reply; ENODEV if it isn't there. */
export const getLink = (link: LinkRef): Message =>
  Writer.message(RTM_LINK.get, 0, `get link ${link}`, (w) => refer(w, link, undefined))

export const listLinks = (): Message =>
  Writer.message(RTM_LINK.get, 0, 'list links', (w) => {
    header(w, 0, undefined)
    w.attrU32(IFLA.extensionMask, RTEXT_FILTER_SKIP_STATS)
  })

function refer(w: Writer, link: LinkRef, up: boolean | undefined): void {
  header(w, typeof link === 'number' ? link : 0, up)
  if (typeof link === 'string') w.attrText(IFLA.name, link)
}

function header(w: Writer, index: number, up: boolean | undefined): void {
  w.u32(0)
    .u32(index)
    .u32(up === true ? IFF.up : 0)
    .u32(up === undefined ? 0 : IFF.up)
}

/** Without a NUL, as `ip` writes it. */
const kindName = (w: Writer, type: NewLink['kind']['type']): Writer =>
  w.attrBytes(INFO.kind, Buffer.from(type))

function settings(w: Writer, s: LinkSettings): void {
  if (s.mac !== undefined) w.attrMac(IFLA.address, s.mac)
  if (s.mtuBytes !== undefined) w.attrU32(IFLA.mtu, s.mtuBytes)
  if (s.txQueueLength !== undefined) w.attrU32(IFLA.txQueueLength, s.txQueueLength)
  if (s.master !== undefined) w.attrU32(IFLA.master, s.master)
  if (s.namespace !== undefined)
    if ('fd' in s.namespace) w.attrU32(IFLA.namespaceFd, s.namespace.fd)
    else w.attrU32(IFLA.namespacePid, s.namespace.pid)
}

export interface LinkInfo {
  readonly index: number
  readonly name: string
  /** IFF_*. */
  readonly flags: number
  readonly up: boolean
  /** ARPHRD_*: 1 Ethernet, 772 loopback, 65534 none. */
  readonly hardwareType: number
  /** `veth`, `bridge`, `vxlan` …; undefined for hardware and loopback. */
  readonly type: string | undefined
  readonly mtuBytes: number
  /** Absent where the link has no Ethernet address. */
  readonly mac: Mac | undefined
  /** Index of the bridge it is in. */
  readonly master: number | undefined
  /** Index of the link below it (a veth's peer, a VLAN's parent), in its own namespace. */
  readonly below: number | undefined
  /** IF_OPER_*: 2 down, 6 up, 0 unknown. */
  readonly operState: number
  readonly vxlan: VxlanAttributes | undefined
}

/** The link in the body of an RTM_NEWLINK or RTM_DELLINK. Throws NetlinkError `malformed`. */
export function parseLink(body: Uint8Array): LinkInfo {
  const a = new Attributes(body, HEADER, 'a link')
  let name = ''
  let type: string | undefined
  let mtuBytes = 0
  let mac: Mac | undefined
  let master: number | undefined
  let below: number | undefined
  let operState = 0
  let vxlan: VxlanAttributes | undefined
  while (a.next())
    if (a.type === IFLA.name) name = a.text()
    else if (a.type === IFLA.mtu) mtuBytes = a.u32()
    else if (a.type === IFLA.master) master = a.u32()
    else if (a.type === IFLA.link) below = a.u32()
    else if (a.type === IFLA.operState) operState = a.u8()
    else if (a.type === IFLA.address) mac = a.length === 6 ? a.mac() : undefined
    else if (a.type === IFLA.linkInfo) {
      const info = a.nested()
      while (info.next())
        if (info.type === INFO.kind) type = info.text()
        else if (info.type === INFO.data && type === 'vxlan') vxlan = parseVxlan(info.nested())
    }
  const flags = u32(body, 8)
  return {
    index: u32(body, 4),
    name,
    flags,
    up: (flags & IFF.up) !== 0,
    hardwareType: u16(body, 2),
    type,
    mtuBytes,
    mac,
    master,
    below,
    operState,
    vxlan,
  }
}
