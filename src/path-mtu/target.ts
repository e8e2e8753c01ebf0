// Whom to ask what a path takes: read off the kernel objects that a tunnel and its peers are made of. Pure.
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import type { KernelObject, Link } from '../model/kernel.ts'
import type { Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import { VXLAN_OVERHEAD_BYTES } from '../model/vxlan.ts'

/** The near end of a family's tunnels: our VXLAN device. */
export interface Tunnel {
  readonly device: string
  readonly family: Family
  readonly vni: number
  readonly port: number
  readonly mac: Mac
  /** Outer source address. */
  readonly local: Ip
  /** Our VTEP's address within: where answers go. */
  readonly vtep: Ip
  /** What the headers around a packet take. */
  readonly overheadBytes: number
}

/** The far end of one tunnel. */
export interface Target {
  readonly device: string
  /** What is routed there. */
  readonly subnet: Prefix
  /** The peer's VTEP within the tunnel, which answers. */
  readonly vtep: Ip
  readonly mac: Mac
  /** Where the tunnel leads. */
  readonly remote: Ip
}

/** Of this host's devices with their addresses; one without an address can't be answered. */
export function tunnelsOf(objects: readonly KernelObject[]): readonly Tunnel[] {
  return objects.flatMap((object) => {
    if (object.kind !== 'link') return []
    const own = objects.find((other) => other.kind === 'address' && other.link === object.name)
    return own?.kind === 'address' ? [tunnelOf(object, own.ip)] : []
  })
}

function tunnelOf({ name, mac, vxlan }: Link, vtep: Ip): Tunnel {
  const family = familyOf(vxlan.local)
  const { vni, port, local } = vxlan
  const overheadBytes = VXLAN_OVERHEAD_BYTES[family]
  return { device: name, family, vni, port, mac, local, vtep, overheadBytes }
}

/** Of what reaches one peer: none where it is routed directly, on our own segment. */
export function targetsOf(objects: readonly KernelObject[]): readonly Target[] {
  return objects.flatMap((route) => {
    if (route.kind !== 'route') return []
    const { link: device, to: subnet, via: vtep } = route
    for (const near of objects) {
      if (near.kind !== 'neighbour' || near.link !== device || near.ip !== vtep) continue
      const { mac } = near
      for (const far of objects)
        if (far.kind === 'fdb' && far.link === device && far.mac === mac)
          return [{ device, subnet, vtep, mac, remote: far.dst }]
    }
    return []
  })
}

/** Whether packets take the same path to the same answerer. */
export const isSamePath = (a: Target, b: Target): boolean =>
  a.device === b.device && a.remote === b.remote && a.vtep === b.vtep && a.mac === b.mac
