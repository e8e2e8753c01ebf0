// What subnet.env tells of this host's network: which packets are the network's own, and whether others are masqueraded.
import { readFileSync } from 'node:fs'
import { readSubnetFile } from '../../daemon/subnet-file.ts'
import { familyOf, type Ip } from '../../model/ip.ts'
import { containsIp, familyOfPrefix, type Prefix } from '../../model/prefix.ts'

export class Told {
  readonly #networks: readonly Prefix[]
  readonly #subnets: readonly Prefix[]
  /** FLANNEL_MTU and FLANNEL_IPMASQ. */
  readonly podMtuBytes: number | undefined
  readonly masquerades: boolean | undefined

  private constructor(networks: readonly Prefix[], subnets: readonly Prefix[], text: string) {
    this.#networks = networks
    this.#subnets = subnets
    const mtu = /^FLANNEL_MTU=(\d+)$/m.exec(text)?.[1]
    const masquerade = /^FLANNEL_IPMASQ=(true|false)$/m.exec(text)?.[1]
    this.podMtuBytes = mtu === undefined ? undefined : Number(mtu)
    this.masquerades = masquerade === undefined ? undefined : masquerade === 'true'
  }

  /** A file that isn't there tells nothing. */
  static read(path: string): Told {
    const { networks, subnets } = readSubnetFile(path)
    return new Told(networks, subnets, networks.length === 0 ? '' : readFileSync(path, 'utf8'))
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
    return this.#subnets.find((subnet) => containsIp(subnet, ip))
  }
  /** This host's subnet of the same family: peers' have the same length. */
  subnetLike(ip: Ip): Prefix | undefined {
    return this.#subnets.find((subnet) => familyOfPrefix(subnet) === familyOf(ip))
  }
}
