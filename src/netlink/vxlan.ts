// The attributes of a VXLAN device: IFLA_VXLAN_* (linux/if_link.h), in the order `ip` and upstream send them.
import { isIPv4, type Ip } from '../model/ip.ts'
import type { Attributes } from './attributes.ts'
import type { Writer } from './wire.ts'

const VXLAN = {
  id: 1,
  group: 2,
  link: 3,
  local: 4,
  ttl: 5,
  tos: 6,
  learning: 7,
  ageing: 8,
  limit: 9,
  proxy: 11,
  rsc: 12,
  l2miss: 13,
  l3miss: 14,
  port: 15,
  group6: 16,
  local6: 17,
  udpCsum: 18,
  udpZeroCsum6Tx: 19,
  udpZeroCsum6Rx: 20,
  gbp: 23,
} as const

/** What is absent is left to the kernel when creating, and left as it is when changing. */
export interface VxlanAttributes {
  readonly vni: number
  /** Index of the underlay link. */
  readonly link?: number
  /** Outer source address. */
  readonly local?: Ip
  /** Remote address for what the FDB doesn't know. */
  readonly group?: Ip
  /** UDP destination port; the kernel's default is 8472. */
  readonly port?: number
  readonly ttl?: number
  readonly tos?: number
  readonly learning?: boolean
  readonly ageingSeconds?: number
  readonly limit?: number
  readonly proxy?: boolean
  /** Route short circuit. */
  readonly rsc?: boolean
  readonly l2miss?: boolean
  readonly l3miss?: boolean
  /** UDP checksums over IPv4; and over IPv6 left out when sending, and tolerated when receiving. */
  readonly udpCsum?: boolean
  readonly udpZeroCsum6Tx?: boolean
  readonly udpZeroCsum6Rx?: boolean
  /** Group based policy: only a flag at creation. */
  readonly gbp?: boolean
}

export function writeVxlan(w: Writer, v: Partial<VxlanAttributes>): void {
  const u8 = (type: number, value: number | boolean | undefined) => {
    if (value !== undefined) w.attrU8(type, Number(value))
  }
  const u32 = (type: number, value: number | undefined) => {
    if (value !== undefined) w.attrU32(type, value)
  }
  u32(VXLAN.id, v.vni)
  u32(VXLAN.link, v.link)
  if (v.group !== undefined) w.attrIp(isIPv4(v.group) ? VXLAN.group : VXLAN.group6, v.group)
  if (v.local !== undefined) w.attrIp(isIPv4(v.local) ? VXLAN.local : VXLAN.local6, v.local)
  u8(VXLAN.ttl, v.ttl)
  u8(VXLAN.tos, v.tos)
  u8(VXLAN.learning, v.learning)
  u32(VXLAN.ageing, v.ageingSeconds)
  u32(VXLAN.limit, v.limit)
  u8(VXLAN.proxy, v.proxy)
  u8(VXLAN.rsc, v.rsc)
  u8(VXLAN.l2miss, v.l2miss)
  u8(VXLAN.l3miss, v.l3miss)
  u8(VXLAN.udpCsum, v.udpCsum)
  u8(VXLAN.udpZeroCsum6Tx, v.udpZeroCsum6Tx)
  u8(VXLAN.udpZeroCsum6Rx, v.udpZeroCsum6Rx)
  if (v.gbp === true) w.attrFlag(VXLAN.gbp)
  if (v.port !== undefined) w.attrBe16(VXLAN.port, v.port)
}

/** What the kernel reports, whole: absent flags are false, an absent local address means any. */
export function parseVxlan(a: Attributes): VxlanAttributes {
  const v: { -readonly [K in keyof VxlanAttributes]: VxlanAttributes[K] } = { vni: 0, gbp: false }
  while (a.next())
    if (a.type === VXLAN.id) v.vni = a.u32()
    else if (a.type === VXLAN.link) v.link = a.u32()
    else if (a.type === VXLAN.group || a.type === VXLAN.group6) v.group = a.ip()
    else if (a.type === VXLAN.local || a.type === VXLAN.local6) v.local = a.ip()
    else if (a.type === VXLAN.ttl) v.ttl = a.u8()
    else if (a.type === VXLAN.tos) v.tos = a.u8()
    else if (a.type === VXLAN.learning) v.learning = a.u8() !== 0
    else if (a.type === VXLAN.ageing) v.ageingSeconds = a.u32()
    else if (a.type === VXLAN.limit) v.limit = a.u32()
    else if (a.type === VXLAN.proxy) v.proxy = a.u8() !== 0
    else if (a.type === VXLAN.rsc) v.rsc = a.u8() !== 0
    else if (a.type === VXLAN.l2miss) v.l2miss = a.u8() !== 0
    else if (a.type === VXLAN.l3miss) v.l3miss = a.u8() !== 0
    else if (a.type === VXLAN.port) v.port = a.be16()
    else if (a.type === VXLAN.udpCsum) v.udpCsum = a.u8() !== 0
    else if (a.type === VXLAN.udpZeroCsum6Tx) v.udpZeroCsum6Tx = a.u8() !== 0
    else if (a.type === VXLAN.udpZeroCsum6Rx) v.udpZeroCsum6Rx = a.u8() !== 0
    else if (a.type === VXLAN.gbp) v.gbp = true
  return v
}
