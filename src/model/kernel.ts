// The kernel objects heddle can want: what `ip` and `nft` have a word for, as plain data. Pure.
// Links are named, never numbered: an ifindex belongs to the carrier, which resolves names when it writes.
import type { Family, Ip } from './ip.ts'
import type { Mac } from './mac.ts'
import type { Prefix } from './prefix.ts'

/** A VXLAN device. `mac` is set in the message that creates it, else udev's MACAddressPolicy rewrites it. */
export interface Link {
  readonly kind: 'link'
  readonly name: string
  readonly type: 'vxlan'
  readonly mac: Mac
  readonly mtuBytes: number
  /** Set administratively up; every wanted link is. */
  readonly up: boolean
  readonly vxlan: VxlanOptions
  /**
   * Whether checksums of what it sends are left to the device that carries its packets, as is usual. Wanted: undefined
   * leaves it as it is. In a dump: only where it is switched off.
   */
  readonly checksumOffload?: boolean
  /** Only in a dump: what the device has that this model can't say. Such a device equals no wanted one. */
  readonly unrecognised?: string
  /** Only in a dump: as `unrecognised`, but of what can be put back to its usual value in place. */
  readonly altered?: string
}
export interface VxlanOptions {
  readonly vni: number
  /** UDP destination port. */
  readonly port: number
  /** Outer source address: the underlay interface's own address, never a NAT'd public one. */
  readonly local: Ip
  /** Name of the underlay interface. */
  readonly underlay: string
  readonly learning: boolean
  readonly gbp: boolean
}

/** An address on a link of ours. */
export interface Address {
  readonly kind: 'address'
  readonly link: string
  readonly ip: Ip
  readonly length: number
}

/** A unicast route in the main table, protocol `ROUTE_PROTOCOL`. */
export interface Route {
  readonly kind: 'route'
  readonly to: Prefix
  readonly via: Ip
  readonly link: string
  /** The gateway need not be on a connected prefix (RTNH_F_ONLINK). */
  readonly onLink: boolean
  /** Carried by a nexthop object (which must be wanted too) or by the route itself. */
  readonly through: 'nexthop' | 'plain'
  /** Of packets that take it, where that is less than its link carries (RTAX_MTU). */
  readonly mtuBytes?: number
  /** Only in a dump: rtm_protocol where it isn't ROUTE_PROTOCOL. */
  readonly protocol?: number
  /** Only in a dump: its metric where that isn't the usual one: 0, of IPv6 1024. Such a route equals no wanted one. */
  readonly metric?: number
  /** Only in a dump: what the route has that this model can't say. Such a route equals no wanted one. */
  readonly unrecognised?: string
}

/**
 * A blackhole route of the main table, protocol `ROUTE_PROTOCOL`, at `BLACKHOLE_METRIC`: packets to it that no live
 * route takes end here instead of leaving by the default route.
 */
export interface Blackhole {
  readonly kind: 'blackhole'
  readonly to: Prefix
  /** Only in a dump: rtm_protocol and metric where they aren't ours. */
  readonly protocol?: number
  readonly metric?: number
}

/** A permanent ARP or NDP entry. */
export interface Neighbour {
  readonly kind: 'neighbour'
  readonly link: string
  readonly ip: Ip
  readonly mac: Mac
}

/** A permanent entry of a VXLAN device's forwarding database: frames to `mac` leave for VTEP `dst`. */
export interface FdbEntry {
  readonly kind: 'fdb'
  readonly link: string
  readonly mac: Mac
  readonly dst: Ip
  /** Only in a dump: what the entry has that this model can't say. Such an entry equals no wanted one. */
  readonly unrecognised?: string
}

/** A nexthop object (Linux ≥ 5.3). Its id belongs to the carrier. */
export interface Nexthop {
  readonly kind: 'nexthop'
  readonly via: Ip
  readonly link: string
  readonly onLink: boolean
  /** Only in a dump: another instance on this host has made it. */
  readonly isOthers?: true
}

/** A whole nf_tables table, replaced in one transaction; nobody else writes in it. */
export interface NftTable {
  readonly kind: 'nft-table'
  readonly family: Family
  readonly name: string
  /** For people who read `nft list ruleset`; no part of what the table does, so never compared. */
  readonly comment?: string
  readonly chains: readonly NftChain[]
  /** Only in a dump: what the table holds that this model can't say. Such a table equals no wanted one. */
  readonly unrecognised?: string
}
export interface NftChain {
  readonly name: string
  readonly comment?: string
  readonly hook: {
    readonly type: 'nat' | 'filter'
    readonly at: 'postrouting' | 'forward'
    readonly priority: number
  }
  readonly rules: readonly NftRule[]
  /**
   * Devices: who begins or accepts a TCP connection through one is told of no larger segments than the routes both ways
   * take (`tcp option maxseg size set rt mtu`). Two rules each, behind the others.
   */
  readonly clamps?: readonly string[]
}
/** All matches must hold; then the verdict. Reads as `nft` prints it. */
export interface NftRule {
  readonly matches: readonly NftMatch[]
  readonly verdict: NftVerdict
}
export type NftMatch =
  /** Source or destination address in (or, with `not`, outside) a prefix of the table's family. */
  | { readonly match: 'saddr' | 'daddr'; readonly not: boolean; readonly prefix: Prefix }
  /** `meta mark & mask == value`. */
  | { readonly match: 'mark'; readonly value: number; readonly mask: number }
export type NftVerdict =
  | { readonly verdict: 'accept' | 'return' }
  | { readonly verdict: 'masquerade'; readonly fullyRandom: boolean }

/** Whose tables: those of iptables-legacy, or those that iptables-nft keeps in nf_tables. Both may be in use. */
export type IptablesFlavour = 'legacy' | 'nf_tables'

/**
 * A chain of ours in a table of iptables, with the one jump that leads to it. The table is everybody's: whatever else is
 * in it is left as it is.
 */
export interface IptablesChain {
  readonly kind: 'iptables-chain'
  readonly flavour: IptablesFlavour
  readonly family: Family
  readonly table: 'nat' | 'filter'
  readonly name: string
  /** In this order, each as iptables-save prints it behind `-A name `. */
  readonly rules: readonly string[]
  /** Exactly one, in any place of the builtin chain that packets reach. */
  readonly jump: IptablesJump
  /** Only in a dump: what is wrong with the chain or its jump. Such a chain equals no wanted one. */
  readonly awry?: string
}
export interface IptablesJump {
  readonly from: 'POSTROUTING' | 'FORWARD'
  /** As iptables-save prints it behind `-A from `. */
  readonly rule: string
}

/**
 * A kernel setting under /proc/sys that is a number, of the data plane's network namespace. In a dump only name and
 * value count.
 */
export interface Sysctl {
  readonly kind: 'sysctl'
  /** With slashes, since link names may have dots: `net/ipv4/ip_forward`. */
  readonly name: string
  readonly value: number
  /** Other values that are as good, and stay: greater ones, or these. */
  readonly fine?: 'greater' | readonly number[]
  /** What it is for, in words. */
  readonly why: string
  /** The link it belongs to. */
  readonly link?: string
  /** The module that brings it. */
  readonly module?: string
  /** It is not written while one of these isn't met. */
  readonly needs?: readonly Need[]
  /**
   * When nobody wants it any more: `restore` puts the former value back, where it is still as it was set; `leave` only
   * remembers it, for others may rely on the new one by then; `none`: it goes with its link.
   */
  readonly undo: 'restore' | 'leave' | 'none'
}
/** Another setting that must not be, or be at least, some value, where there is such a setting. */
export type Need = {
  readonly name: string
  /** What is wrong while it isn't so, and what to do. */
  readonly else: string
} & ({ readonly not: number } | { readonly least: number })

export type KernelObject =
  | Link
  | Address
  | Route
  | Blackhole
  | Neighbour
  | FdbEntry
  | Nexthop
  | NftTable
  | IptablesChain
  | Sysctl
export type KindName = KernelObject['kind']

/** rtm_protocol and nh_protocol of what we install (0–4 are the kernel's, 186–192 the routing daemons'). */
export const ROUTE_PROTOCOL = 0x68
/** The worst there is, of both families: whatever route of the same prefix is there, it wins over a blackhole of ours. */
export const BLACKHOLE_METRIC = 0xffff_ffff
/** Nexthop ids we give out: `BASE` up to, not including, `BASE + SIZE`. */
export const NEXTHOP_IDS = { base: 0x68_000_000, size: 0x1_000_000 } as const

export const link = (l: Omit<Link, 'kind' | 'type' | 'up'>): Link => ({
  kind: 'link',
  type: 'vxlan',
  up: true,
  ...l,
})
export const address = (a: Omit<Address, 'kind'>): Address => ({ kind: 'address', ...a })
export const neighbour = ({ link, ip, mac }: Omit<Neighbour, 'kind'>): Neighbour => ({
  kind: 'neighbour',
  link,
  ip,
  mac,
})
export const fdbEntry = (f: Omit<FdbEntry, 'kind'>): FdbEntry => ({ kind: 'fdb', ...f })
export const nexthop = (n: Omit<Nexthop, 'kind'>): Nexthop => ({ kind: 'nexthop', ...n })
export const route = (r: Omit<Route, 'kind'>): Route => ({ kind: 'route', ...r })
export const sysctl = (s: Omit<Sysctl, 'kind'>): Sysctl => ({ kind: 'sysctl', ...s })
export const blackhole = (to: Prefix): Blackhole => ({ kind: 'blackhole', to })
