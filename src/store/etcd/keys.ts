// Where things are in etcd, as upstream has it (flannel-compat 3.2.2), and where a subnet that overlaps one could be.
import { posix } from 'node:path'
import type { Place } from '../../model/allocate.ts'
import { parseLease, parseSubnetKey, type Lease, type SubnetKey } from '../../model/lease.ts'
import { baseOf, lengthOf, prefixOf, type Prefix } from '../../model/prefix.ts'
import { keysUnder, type KeyRange, type KeyValue } from './kv.ts'

export class Keys {
  readonly config: string
  /** All that upstream lists as leases, with what isn't one: it takes the prefix without a slash. */
  readonly leases: KeyRange
  readonly #folder: string

  /** `prefix` is cleaned as Go's path.Join does. */
  constructor(prefix: string) {
    this.config = posix.join(prefix, 'config')
    const subnets = posix.join(prefix, 'subnets')
    this.leases = keysUnder(subnets)
    this.#folder = `${subnets}/`
  }

  lease(name: SubnetKey): string {
    return `${this.#folder}${name}`
  }

  /** The name of a lease's key; any other key is its own name, which names no subnet. */
  nameOf(key: string): SubnetKey {
    return (key.startsWith(this.#folder) ? key.slice(this.#folder.length) : key) as SubnetKey
  }

  /** The subnets that a key names, whatever its value; none for a key that is no lease's. */
  subnetsIn(key: string): readonly Prefix[] {
    const place = parseSubnetKey(this.nameOf(key))
    return [place?.ipv4, place?.ipv6].filter((subnet) => subnet !== undefined)
  }

  /** A sentence if key or value is bad. */
  leaseOf({ key, value, createRevision }: KeyValue): Lease | string {
    return parseLease(this.nameOf(key), value, createRevision)
  }

  /**
   * Ranges that together hold every lease key whose subnet overlaps `place`, whoever made it. As narrow as text order
   * allows, so that hosts that start together seldom disturb each other: what begins with our whole octets, and each
   * network around those. IPv6 stands last in a key, so with it only all of them will do.
   */
  around(place: Place): readonly KeyRange[] {
    if (place.ipv4 === undefined || place.ipv6 !== undefined) return [keysUnder(this.#folder)]
    const base = baseOf(place.ipv4)
    const octets = Math.floor(lengthOf(place.ipv4) / 8)
    const text = base
      .split('.')
      .slice(0, octets)
      .map((octet) => `${octet}.`)
      .join('')
    const larger = Array.from({ length: octets * 8 }, (_, length) =>
      keysUnder(`${this.#folder}${baseOf(prefixOf(base, length))}-${length}`),
    )
    return [keysUnder(`${this.#folder}${text}`), ...larger]
  }
}
