// What a control store offers the daemon. Implementations: etcd/ (which also speaks to the embedded store).
import type { Lease, LeaseAttributes, SubnetKey } from '../model/lease.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import type { IPv4, IPv6 } from '../model/ip.ts'
import type { Prefix } from '../model/prefix.ts'

export interface Store extends AsyncDisposable {
  /** For the log, as upstream prints it. */
  readonly name: string
  /** The network config, again whenever it changes; waits while there is none. A bad one is yielded as its reason and changes nothing. */
  configs(signal: AbortSignal): AsyncIterable<ConfigEvent>
  /** Makes this JSON the network config if there is none at that moment: whether it did. Waits while nobody answers. */
  proposeConfig(json: string, signal: AbortSignal): Promise<boolean>
  /** Leases of all hosts, ours among them. The first event is a snapshot; another follows whenever continuity was lost. */
  leases(signal: AbortSignal): AsyncIterable<LeaseEvent>
  /** This host's lease, kept alive until disposed; disposing never revokes it. */
  acquire(wish: LeaseWish, signal: AbortSignal): Promise<OwnLease>
}

export type ConfigEvent =
  | { readonly kind: 'config'; readonly config: NetworkConfig }
  | { readonly kind: 'missing'; readonly key: string }
  | { readonly kind: 'rejected'; readonly key: string; readonly reason: string }

export type LeaseEvent =
  /** `history` names the store's life; absence counts as deletion only within one history. */
  | {
      readonly kind: 'snapshot'
      readonly history: string
      readonly leases: readonly Lease[]
      readonly rejected: readonly Rejected[]
    }
  | { readonly kind: 'put'; readonly lease: Lease }
  /** `missed`: it happened before we came back to the store; other hosts may be on their way back, too. */
  | { readonly kind: 'delete'; readonly subnet: SubnetKey; readonly missed?: true }
  /** A key that could not be read. Never a deletion. */
  | ({ readonly kind: 'rejected' } & Rejected)
export interface Rejected {
  readonly key: string
  readonly reason: string
}

export interface LeaseWish {
  readonly config: NetworkConfig
  /** What to publish, given the lease that is ours already in the store, if any (its VTEP MAC is kept). */
  readonly attributes: (existing: Lease | undefined) => LeaseAttributes
  /** Prove ownership of a lease that exists already (isPublishedBy); looked at anew with each attempt. */
  readonly publicIp: IPv4 | undefined
  readonly publicIpv6?: IPv6 | undefined
  /** Stronger proof: the lease is this host's though its address was another. `cluster` as in OwnLease. */
  readonly owns?: (lease: Lease, cluster: string) => boolean
  /** The subnets of subnet.env, if any: used again if free and allowed by the config. */
  readonly previous: readonly Prefix[]
}

export interface OwnLease extends AsyncDisposable {
  readonly lease: Lease
  /** Names the store's life: within it no other key has our lease's createRevision. */
  readonly cluster: string
  /** When it ends in the store unless it is renewed; undefined: never (a reservation), or not known. */
  readonly expiresAt: Date | undefined
  /** Publishes new attributes under the same subnet; from now on its public address is ours. */
  update(attributes: LeaseAttributes, signal: AbortSignal): Promise<void>
  /** Our own lease as it changes in the store; `lost` when another host holds the subnet now. */
  changes(signal: AbortSignal): AsyncIterable<'lost' | Lease>
}

/** Something the store can't do for us now or at all. `code` is stable. */
export class StoreError extends Error {
  readonly code: 'unavailable' | 'auth' | 'full' | 'invalid' | 'compacted' | 'lost'
  constructor(code: StoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}
