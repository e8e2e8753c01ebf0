// Which MAC a VXLAN device gets: one that peers may know already, else one that this host would derive again.
import { createHash } from 'node:crypto'
import type { Family, Ip } from '../model/ip.ts'
import { isMulticastMac, isZeroMac, localMac, type Mac } from '../model/mac.ts'

export interface VtepMacSources {
  /** Of the device that exists. */
  readonly device: Mac | undefined
  /** In our own lease in the store. */
  readonly lease: Mac | undefined
  /** The text of /etc/machine-id. Alone it would be equal on cloned machines. */
  readonly machineId: string
  /** The underlay interface's own address. */
  readonly address: Ip
  readonly vni: number
  readonly family: Family
}

/** The first usable of: the device's, the lease's, a locally administered hash of what makes this VTEP unique. */
export function vtepMac(from: VtepMacSources): Mac {
  const usable = (mac: Mac | undefined): mac is Mac =>
    mac !== undefined && !isZeroMac(mac) && !isMulticastMac(mac)
  if (usable(from.device)) return from.device
  if (usable(from.lease)) return from.lease
  const identity = [from.machineId.trim(), from.address, from.vni, from.family].join('\n')
  return localMac(createHash('sha256').update(identity).digest())
}
