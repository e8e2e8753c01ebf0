// Where this host stands besides its pod network: what its links are connected to, and its gateways. A peer's subnet
// that lay there would cut it off from its neighbours. Pure.
import type { Ip } from './ip.ts'
import type { Prefix } from './prefix.ts'

/** An address of a link that is up, and the prefix that the kernel reaches by that link without a gateway. */
export interface ConnectedPrefix {
  readonly prefix: Prefix
  /** This host's own. */
  readonly ip: Ip
  readonly link: string
}

/** Flannel's own devices and this host's pod subnets are no part of it. */
export interface Surroundings {
  readonly connected: readonly ConnectedPrefix[]
  readonly gateways: readonly Ip[]
}

export const NOWHERE: Surroundings = { connected: [], gateways: [] }
