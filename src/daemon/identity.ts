// This host as its back end sees it: interface, addresses, and the MAC that peers know it by.
import type { Self, SelfHalf } from '../backend/backend.ts'
import type { NexthopUse } from '../backend/hops.ts'
import type { ConfiguredBackend } from '../backend/list.ts'
import { vtepMac } from '../backend/vtep-mac.ts'
import type { Family, Ip, IPv4, IPv6 } from '../model/ip.ts'
import type { Json, Lease, LeaseAttributes } from '../model/lease.ts'
import { parseMac, type Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import type { Chosen } from './interface/choose.ts'
import { machineId } from './machine.ts'

/** Names of the VXLAN devices: the family and the VNI. */
const DEVICE = /^flannel(-v6)?\.(\d+)$/

export interface Identity {
  /** Where this host is now. */
  readonly place: Chosen
  readonly publicIp: IPv4 | undefined
  readonly publicIpv6: IPv6 | undefined
  /** By which its lease is known to be its own: IPv4's where the network has it (publisherOf). */
  readonly publisher: Ip
  self(subnets: readonly Prefix[]): Self
  /** This host as it would be there. */
  selfAt(place: Chosen, subnets: readonly Prefix[]): Self
  /** The interface is another, or has another address; the MACs that peers know stay. */
  move(place: Chosen): void
  /** Outer packets get no more than this for the sake of other hosts' paths; undefined: what the interface has. */
  limit(bytes: number | undefined): void
  /** Whether a lease tells the MAC of a device that exists here: it is ours, though our address was another. */
  owns(lease: Lease): boolean
  /** What to publish; the MAC of the lease that is ours already is kept from then on. */
  attributes(backend: ConfiguredBackend, existing: Lease | undefined): LeaseAttributes
}

/** `devices`: MACs of the VXLAN devices there are, by name. */
export function identify(chosen: Chosen, devices: ReadonlyMap<string, Mac>, use: NexthopUse): Identity {
  const machine = machineId()
  const fixed = new Map<string, Mac>()
  // Asked of every lease at a start.
  const own = new Set([...devices].filter(([name]) => DEVICE.test(name)).map(([, mac]) => mac))
  let leased: Lease | undefined
  let place = chosen
  let limitBytes = Infinity
  const choose = (device: string): Mac => {
    const [, v6, vni] = DEVICE.exec(device) ?? []
    const family: Family = v6 === undefined ? 'ipv4' : 'ipv6'
    return vtepMac({
      device: devices.get(device),
      lease: vtepMacIn(leased?.[family]?.backendData),
      machineId: machine,
      address: known(place[family]),
      vni: Number(vni ?? 0),
      family,
    })
  }
  const macOf = (device: string): Mac => fixed.get(device) ?? choose(device)
  const selfAt = (where: Chosen, subnets: readonly Prefix[]): Self => ({
    link: where.link,
    mtuBytes: Math.min(where.mtuBytes, limitBytes),
    ipv4: halfOf(where.ipv4, where.publicIp),
    ipv6: halfOf(where.ipv6, where.publicIpv6),
    macOf,
    subnets,
    nexthopUse: use,
  })
  const self = (subnets: readonly Prefix[]): Self => selfAt(place, subnets)
  return {
    get place() {
      return place
    },
    get publicIp() {
      return place.publicIp
    },
    get publicIpv6() {
      return place.publicIpv6
    },
    get publisher() {
      return known<Ip>(place.publicIp ?? place.publicIpv6)
    },
    self,
    selfAt,
    move(now) {
      place = now
    },
    limit(bytes) {
      limitBytes = bytes ?? Infinity
    },
    owns(lease) {
      return [lease.ipv4, lease.ipv6].some((half) => {
        const mac = half && vtepMacIn(half.backendData)
        return mac !== undefined && own.has(mac)
      })
    },
    attributes(backend, existing) {
      leased ??= existing
      const data = backend.publish({
        ...self([]),
        macOf(device) {
          // Published once, it stays: peers must not see it change.
          const mac = macOf(device)
          fixed.set(device, mac)
          return mac
        },
      })
      return {
        publicIp: place.publicIp,
        publicIpv6: place.publicIpv6,
        backendType: backend.type,
        backendData: data.ipv4,
        backendV6Data: data.ipv6,
      }
    },
  }
}

const halfOf = <I extends Ip>(address: I | undefined, publicIp: I | undefined): SelfHalf<I> | undefined =>
  address && { address, publicIp: publicIp ?? address }

/** The interface has an address of each family of the network, or it isn't chosen. */
function known<I extends Ip>(ip: I | undefined): I {
  if (ip === undefined) throw new TypeError('an interface without an address of the network was chosen')
  return ip
}

/** The MAC of a lease's VXLAN data. */
export function vtepMacIn(data: Json | undefined): Mac | undefined {
  const text = typeof data === 'object' && data !== null && 'VtepMAC' in data ? data.VtepMAC : undefined
  return typeof text === 'string' ? parseMac(text) : undefined
}
