// What speaks against one half of a lease, whoever else claims what: where it lies in the network, this host's own
// lease, and what this host's links are connected to. Pure.
import type { Ip } from '../model/ip.ts'
import type { LeaseHalf } from '../model/lease.ts'
import type { NetworkRange } from '../model/net-config.ts'
import {
  containsIp,
  containsPrefix,
  familyOfPrefix,
  isV4Prefix,
  lengthOf,
  overlaps,
  type Prefix,
} from '../model/prefix.ts'
import type { ConnectedPrefix, Surroundings } from '../model/surroundings.ts'

/** Of one family. */
export class Grounds {
  readonly #network: Prefix
  /** How the text of each address in the network begins, so that most others are told by a look: `10.3.` */
  readonly #beginning: string
  readonly #own: LeaseHalf<Ip> | undefined
  readonly #connected: readonly ConnectedPrefix[]
  /** Addresses that this host must go on reaching, and what each is. Only those in the network: no subnet has others. */
  readonly #needed: readonly (readonly [Ip, string])[]

  /** `own`: this family of this host's lease. */
  constructor(
    { network }: NetworkRange,
    own: LeaseHalf<Ip> | undefined,
    { connected, gateways }: Surroundings,
  ) {
    this.#network = network
    this.#beginning = beginningOf(network)
    this.#own = own
    const family = familyOfPrefix(network)
    this.#connected = connected.filter(
      ({ prefix }) =>
        familyOfPrefix(prefix) === family &&
        overlaps(prefix, network) &&
        !(own !== undefined && containsPrefix(own.subnet, prefix)),
    )
    const needed: (readonly [Ip, string])[] = [
      ...this.#connected.map(({ ip, link }) => [ip, `this host's own address on ${link}`] as const),
      ...(own?.publicIp === undefined ? [] : [[own.publicIp, "this host's own PublicIP"] as const]),
      ...gateways.map((ip) => [ip, 'a gateway of this host'] as const),
    ]
    this.#needed = needed.filter(([ip]) => containsIp(network, ip))
  }

  /** Whether an address lies in the pod network, so that a subnet may hold it. */
  holds(ip: Ip): boolean {
    return ip.startsWith(this.#beginning) && containsIp(this.#network, ip)
  }

  /** A sentence's end, as it goes on after the lease's name; undefined if nothing speaks against it. */
  objection({ subnet, publicIp }: LeaseHalf<Ip>): string | undefined {
    if (!containsPrefix(this.#network, subnet)) return `${subnet} lies outside the network ${this.#network}`
    const own = this.#own
    if (own !== undefined && overlaps(own.subnet, subnet))
      return `${subnet} overlaps this host's own subnet ${own.subnet}`
    if (publicIp !== undefined) {
      if (publicIp === own?.publicIp) return `PublicIP ${publicIp} is this host's own`
      if (this.holds(publicIp)) {
        if (containsIp(subnet, publicIp))
          return `its PublicIP ${publicIp} lies in its own subnet ${subnet}: packets to that host would go to its pods`
        if (own !== undefined && containsIp(own.subnet, publicIp))
          return `its PublicIP ${publicIp} lies in this host's own subnet ${own.subnet}`
      }
    }
    return this.#cut(subnet)
  }

  /** What a route to `subnet` would take from this host, or what of `subnet` would never leave it. */
  #cut(subnet: Prefix): string | undefined {
    for (const { prefix, ip, link } of this.#connected)
      if (containsPrefix(subnet, prefix))
        return `${prefix} of ${link} on this host ${prefix === subnet ? 'is the same' : `lies in ${subnet}`}: take ${ip} off ${link}, or choose a Network that no link of a host is in`
    // A wider one serves on beside a more specific route, unless that takes what this host needs itself.
    for (const [ip, what] of this.#needed)
      if (containsIp(subnet, ip)) return `${subnet} has ${ip} in it, ${what}`
    return undefined
  }
}

function beginningOf(network: Prefix): string {
  const octets = isV4Prefix(network) ? network.split('.', Math.min(3, lengthOf(network) >> 3)) : []
  return octets.map((octet) => `${octet}.`).join('')
}
