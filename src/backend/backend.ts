// What a back end is: pure functions from leases to kernel objects. It never touches a socket.
// Adding one means adding one file and its line in `backends` of list.ts.
import type { Family, Ip, IPv4, IPv6 } from '../model/ip.ts'
import type { KernelObject } from '../model/kernel.ts'
import type { Json, Lease } from '../model/lease.ts'
import type { Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import type { NexthopUse } from './hops.ts'

/** One family of this host on the underlay. */
export interface SelfHalf<I extends Ip = Ip> {
  /** The underlay interface's own address: the outer source of tunnels (VXLAN `local`). */
  readonly address: I
  /** What other hosts use; equals `address` unless told otherwise (`--public-ip`, `--public-ipv6`). */
  readonly publicIp: I
}

/** This host, as the back ends see it. */
export interface Self {
  /** The underlay (inter-host) interface. */
  readonly link: string
  readonly mtuBytes: number
  /** Each family by itself; absent where the network doesn't use it. At least one is there. */
  readonly ipv4: SelfHalf<IPv4> | undefined
  readonly ipv6: SelfHalf<IPv6> | undefined
  /** The MAC for each device name: of the device that exists, of our lease in the store, or derived. */
  readonly macOf: (device: string) => Mac
  /** Our own subnets, at most one a family; none before the lease is known. */
  readonly subnets: readonly Prefix[]
  readonly nexthopUse: NexthopUse
}

/** What the kernel's routing says about the underlay, of either family. */
export interface Underlay {
  /** Whether `ip` is reached without a gateway, through `link`. */
  isOnLink(ip: Ip, link: string): boolean
  /**
   * The largest packet that comes through our tunnel to a peer's subnet, where that is known to be less than what the
   * tunnel's device could carry over this host's interface. Without it all paths are as large as the interface.
   */
  tunnelMtuBytes?(subnet: Prefix): number | undefined
}

/** What this host publishes: goes into its lease as BackendData and BackendV6Data. */
export interface BackendData {
  readonly ipv4: Json | undefined
  readonly ipv6: Json | undefined
}

/** How a peer is reached: each family by itself, so that a broken or missing one never takes the other along. */
export interface Reach {
  /** What carries packets to the peer, for all families by which it can be reached; none: it can't be at all. */
  readonly objects: readonly KernelObject[]
  /** Of each family that this host uses (Self.ipv4, ipv6) and that can't reach the peer: why. */
  readonly refusals: readonly Refusal[]
}
export interface Refusal {
  readonly family: Family
  /** A sentence's end, as it goes on after the lease's name: what is wrong, and what to do. */
  readonly reason: string
}

/**
 * All functions but `parse` are pure and total: the same arguments give equal answers, whatever was asked before, and
 * nothing throws for what another host has written. `Self` has one family or both, and never one that the network
 * hasn't got: whatever is planned, is planned for each family that `Self` has.
 *
 * `peer.ts` has what most back ends need: `reachEachFamily` does all the checks of a peer that don't depend on the
 * back end, `familiesOf` tells the families of this host.
 */
export interface Backend<Options> {
  /** Backend.Type of the network config and BackendType of leases, in lower case. */
  readonly type: string
  /** The options in the config's Backend object; a sentence if they are bad. Keys match whatever their case. */
  parse(backend: { readonly [key: string]: Json }): Options | string
  /**
   * A sentence if this host can't run the back end as it is (host-gw behind NAT, an MTU too small, a family that the
   * back end hasn't got). Asked at the start and whenever interface or config change: what was in force then stays.
   */
  refuses(self: Self, options: Options): string | undefined
  /** MTU that pods may use. They have one for all families: the least over those in use, headers of tunnels taken off. */
  podMtuBytes(self: Self, options: Options): number
  /** Whether it is to be found out what paths carry: those of tunnels whose MTU nobody has set. */
  asksPaths(options: Options): boolean
  /**
   * Devices of this host, of each family in use, and once `self.subnets` is known their addresses. The devices don't
   * depend on the subnets.
   */
  devices(self: Self, options: Options): readonly KernelObject[]
  /** Data for our lease, as upstream writes it to the byte; of a family not in use, undefined. */
  publish(self: Self, options: Options): BackendData
  /**
   * What of one family's data must be no other host's, after the name it has there: `VtepMAC 02:42:00:00:00:07`. Undefined
   * if nothing must, or the data is bad. Of two hosts that have it in common `reach` is asked for the older lease alone.
   */
  unique(data: Json | undefined, options: Options): string | undefined
  /** What reaches one peer, by each family in use; and why, where it can't be. Keys of different peers differ. */
  reach(peer: Lease, self: Self, underlay: Underlay, options: Options): Reach
}
