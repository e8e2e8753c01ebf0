// What a back end is: pure functions from leases to kernel objects. It never touches a socket.
// Adding one means adding one file and its line in `backends` of list.ts.
import type { Family, Ip, IPv4 } from '../model/ip.ts'
import type { KernelObject } from '../model/kernel.ts'
import type { Json, Lease } from '../model/lease.ts'
import type { Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'

/** This host, as the back ends see it. */
export interface Self {
  /** The underlay (inter-host) interface. */
  readonly link: string
  readonly mtuBytes: number
  /** The underlay interface's own address: VXLAN `local`. */
  readonly ipv4: IPv4
  /** What other hosts use; equals `ipv4` unless told otherwise. */
  readonly publicIp: IPv4
  /** The MAC for each device name: of the device that exists, of our lease in the store, or derived. */
  readonly macOf: (device: string) => Mac
  /** Our own subnets, once leased. */
  readonly subnets: readonly Prefix[]
  /** Whether the kernel has nexthop objects (probed, not guessed by version). */
  readonly nexthopObjects: boolean
}

/** What the kernel's routing says about the underlay. */
export interface Underlay {
  /** Whether `ip` is reached without a gateway, through `link`. */
  isOnLink(ip: Ip, link: string): boolean
}

/** What this host publishes: goes into its lease. */
export interface BackendData {
  readonly ipv4: Json | undefined
  readonly ipv6: Json | undefined
}

export type Reach =
  | { readonly kind: 'reachable'; readonly objects: readonly KernelObject[] }
  | { readonly kind: 'unreachable'; readonly reason: string }
export const reachable = (...objects: KernelObject[]): Reach => ({ kind: 'reachable', objects })
export const unreachable = (reason: string): Reach => ({ kind: 'unreachable', reason })

export interface Backend<Options> {
  readonly type: string
  /** The options in the config's Backend object; a sentence if they are bad. Keys match whatever their case. */
  parse(backend: { readonly [key: string]: Json }): Options | string
  /** A sentence if this host can't run the back end as it is (host-gw behind NAT). */
  refuses(self: Self, options: Options): string | undefined
  /** MTU that pods may use. */
  podMtuBytes(self: Self, options: Options, underlay: Family): number
  /** Devices of this host, and once `self.subnets` is known their addresses. */
  devices(self: Self, options: Options): readonly KernelObject[]
  /** BackendType and data for our lease. */
  publish(self: Self, options: Options): BackendData
  /** What reaches one peer; or why it can't be reached. Depends on its arguments alone. */
  reach(peer: Lease, self: Self, underlay: Underlay, options: Options): Reach
}
