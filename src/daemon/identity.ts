// This host as its back end sees it: interface, addresses, and the MAC that peers know it by.
import type { Self } from '../backend/backend.ts'
import type { ConfiguredBackend } from '../backend/list.ts'
import { vtepMac } from '../backend/vtep-mac.ts'
import type { Json, Lease, LeaseAttributes } from '../model/lease.ts'
import { parseMac, type Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import { machineId } from './host-view.ts'
import type { Chosen } from './interface.ts'

/** Names of the VXLAN devices: the family and the VNI. */
const DEVICE = /^flannel(-v6)?\.(\d+)$/

export interface Identity {
  readonly publicIp: Chosen['publicIp']
  self(subnets: readonly Prefix[]): Self
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
  let leased: Lease | undefined
  const choose = (device: string): Mac => {
    const [, v6, vni] = DEVICE.exec(device) ?? []
    const half = v6 === undefined ? leased?.ipv4 : leased?.ipv6
    return vtepMac({
      device: devices.get(device),
      lease: vtepMacIn(half?.backendData),
      machineId: machine,
      address: chosen.ipv4,
      vni: Number(vni ?? 0),
      family: v6 === undefined ? 'ipv4' : 'ipv6',
    })
  }
  const macOf = (device: string): Mac => fixed.get(device) ?? choose(device)
  const self = (subnets: readonly Prefix[]): Self => ({ ...chosen, macOf, subnets, nexthopObjects })
  return {
    publicIp: chosen.publicIp,
    self,
    owns(lease) {
      const mac = vtepMacIn(lease.ipv4?.backendData)
      return mac !== undefined && [...devices].some(([name, has]) => DEVICE.test(name) && has === mac)
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
        publicIp: chosen.publicIp,
        publicIpv6: undefined,
        backendType: backend.type,
        backendData: data.ipv4,
        backendV6Data: data.ipv6,
      }
    },
  }
}

function vtepMacIn(data: Json | undefined): Mac | undefined {
  const text = typeof data === 'object' && data !== null && 'VtepMAC' in data ? data.VtepMAC : undefined
  return typeof text === 'string' ? parseMac(text) : undefined
}
