// This host as its back end sees it: interface, addresses, and the MAC that peers know it by.
import type { Self } from '../backend/backend.ts'
import type { ConfiguredBackend } from '../backend/list.ts'
import { vtepMac } from '../backend/vtep-mac.ts'
import type { IPv4 } from '../model/ip.ts'
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
  readonly publicIp: IPv4
  self(subnets: readonly Prefix[]): Self
  /** This host as it would be there. */
  selfAt(place: Chosen, subnets: readonly Prefix[]): Self
  /** The interface is another, or has another address; the MACs that peers know stay. */
  move(place: Chosen): void
  /** Whether a lease tells the MAC of a device that exists here: it is ours, though our address was another. */
  owns(lease: Lease): boolean
  /** What to publish; the MAC of the lease that is ours already is kept from then on. */
  attributes(backend: ConfiguredBackend, existing: Lease | undefined): LeaseAttributes
}

/** `devices`: MACs of the VXLAN devices there are, by name. */
export function identify(
  chosen: Chosen,
  devices: ReadonlyMap<string, Mac>,
  nexthopObjects: boolean,
): Identity {
  const machine = machineId()
  const fixed = new Map<string, Mac>()
  // Asked of every lease at a start.
  const own = new Set([...devices].filter(([name]) => DEVICE.test(name)).map(([, mac]) => mac))
  let leased: Lease | undefined
  let place = chosen
  const choose = (device: string): Mac => {
    const [, v6, vni] = DEVICE.exec(device) ?? []
    const half = v6 === undefined ? leased?.ipv4 : leased?.ipv6
    return vtepMac({
      device: devices.get(device),
      lease: vtepMacIn(half?.backendData),
      machineId: machine,
      address: ipv4Of(place.ipv4),
      vni: Number(vni ?? 0),
      family: v6 === undefined ? 'ipv4' : 'ipv6',
    })
  }
  const macOf = (device: string): Mac => fixed.get(device) ?? choose(device)
  const selfAt = ({ link, mtuBytes, ipv4, publicIp }: Chosen, subnets: readonly Prefix[]): Self => ({
    link,
    mtuBytes,
    ipv4: ipv4Of(ipv4),
    publicIp: ipv4Of(publicIp),
    macOf,
    subnets,
    nexthopObjects,
  })
  const self = (subnets: readonly Prefix[]): Self => selfAt(place, subnets)
  return {
    get place() {
      return place
    },
    get publicIp() {
      return ipv4Of(place.publicIp)
    },
    self,
    selfAt,
    move(now) {
      place = now
    },
    owns(lease) {
      const mac = vtepMacIn(lease.ipv4?.backendData)
      return mac !== undefined && own.has(mac)
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
        publicIp: ipv4Of(place.publicIp),
        publicIpv6: undefined,
        backendType: backend.type,
        backendData: data.ipv4,
        backendV6Data: data.ipv6,
      }
    },
  }
}

/** The interface of a network with IPv4 has such an address, or it isn't chosen. */
function ipv4Of(ip: IPv4 | undefined): IPv4 {
  if (ip === undefined) throw new TypeError('an interface without an IPv4 address was chosen')
  return ip
}

/** The MAC of a lease's VXLAN data. */
export function vtepMacIn(data: Json | undefined): Mac | undefined {
  const text = typeof data === 'object' && data !== null && 'VtepMAC' in data ? data.VtepMAC : undefined
  return typeof text === 'string' ? parseMac(text) : undefined
}
