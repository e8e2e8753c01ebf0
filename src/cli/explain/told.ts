// What subnet.env and a running flanneld tell of this host's network: which packets are the network's own, whether
// others are masqueraded, who leased a subnet, and who puts back what is missing.
import { readFileSync } from 'node:fs'
import { readSubnetFile } from '../../daemon/subnet-file.ts'
import { familyOf, type Ip } from '../../model/ip.ts'
import { containsIp, familyOfPrefix, type Prefix } from '../../model/prefix.ts'
import type { Silence, Wants } from './wants.ts'

export class Told {
  readonly #networks: readonly Prefix[]
  readonly #subnets: readonly Prefix[]
  /** FLANNEL_MTU and FLANNEL_IPMASQ. */
  readonly podMtuBytes: number | undefined
  readonly masquerades: boolean | undefined
  /** What flanneld knows of the address in question; undefined where none answers. */
  readonly wants: Wants | undefined
  /** What to do about an object of flannel's that is missing. */
  readonly restore: string

  private constructor(
    networks: readonly Prefix[],
    subnets: readonly Prefix[],
    text: string,
    flanneld: Wants | Silence,
  ) {
    this.#networks = networks
    this.#subnets = subnets
    const mtu = /^FLANNEL_MTU=(\d+)$/m.exec(text)?.[1]
    const masquerade = /^FLANNEL_IPMASQ=(true|false)$/m.exec(text)?.[1]
    this.podMtuBytes = mtu === undefined ? undefined : Number(mtu)
    this.masquerades = masquerade === undefined ? undefined : masquerade === 'true'
    this.wants = 'why' in flanneld ? undefined : flanneld
    this.restore =
      'why' in flanneld && !flanneld.runs
        ? 'no flanneld answers here: start it, or restart the one that runs, and it puts that back'
        : 'the running flanneld puts that back by itself; where it does not, heddle drift tells why'
  }

  /** A file that isn't there tells nothing. */
  static read(path: string, flanneld: Wants | Silence): Told {
    const { networks, subnets } = readSubnetFile(path)
    return new Told(networks, subnets, networks.length === 0 ? '' : readFileSync(path, 'utf8'), flanneld)
  }

  get isEmpty(): boolean {
    return this.#networks.length === 0
  }
  /** The cluster network that the address is in. */
  networkOf(ip: Ip): Prefix | undefined {
    return this.#networks.find((network) => containsIp(network, ip))
  }
  /** This host's own subnet, if the address is in it. */
  ownSubnetOf(ip: Ip): Prefix | undefined {
    const own = this.#subnets.find((subnet) => containsIp(subnet, ip))
    const { isOwn = false, subnet } = this.wants ?? {}
    return own ?? (isOwn && subnet !== undefined && containsIp(subnet, ip) ? subnet : undefined)
  }
  /** This host's subnet of the same family: peers' have the same length. */
  subnetLike(ip: Ip): Prefix | undefined {
    return this.#subnets.find((subnet) => familyOfPrefix(subnet) === familyOf(ip))
  }
}
