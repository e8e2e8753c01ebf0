// This host as packets of pods meet it, for the search of what drops them: which links they pass by, and where the
// tunnel's UDP arrives.
import type { Self } from '../../backend/backend.ts'
import type { Passage } from '../../firewall/blockers/advice.ts'
import { packetsOf, type Packet, type Port } from '../../firewall/blockers/packet.ts'
import { bitsOf, FAMILIES, familyOf, type Family } from '../../model/ip.ts'
import { containsIp, familyOfPrefix, prefixOf, type Prefix } from '../../model/prefix.ts'
import { listAddresses, parseAddress } from '../../netlink/address.ts'
import { listLinks, parseLink } from '../../netlink/link.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Network } from '../network.ts'

/** The stock CNI config's bridge: where no link has an address of the pods' yet. */
const POD_BRIDGE = 'cni0'

export interface Traffic {
  readonly packets: readonly Packet[]
  /** What must be let through for them. */
  readonly passage: Passage & { readonly tunnelPorts: readonly number[] }
}

/** Throws NetlinkError. */
export function trafficOf(netlink: NetlinkSocket, network: Network, self: Self): Traffic {
  const links = new Map(
    netlink.dump(listLinks(), ({ body }) => parseLink(body)).map(({ index, name }) => [index, name]),
  )
  const addresses = netlink.dump(listAddresses(), ({ body }) => parseAddress(body))
  const devices = network.backend
    .devices(self)
    .flatMap((object) => (object.kind === 'link' ? [{ name: object.name, ...object.vxlan }] : []))
  const port = (name: string): Port => {
    const index = [...links].find(([, each]) => each === name)?.[0]
    return { name, ...(index !== undefined && { index }) }
  }
  const isOwnDevice = (index: number) => devices.some(({ name }) => name === links.get(index))
  const podLink = (subnet: Prefix): string => {
    const found = addresses.find(({ linkIndex, ip }) => containsIp(subnet, ip) && !isOwnDevice(linkIndex))
    return links.get(found?.linkIndex ?? 0) ?? POD_BRIDGE
  }
  const packetsOfFamily = (family: Family): Packet[] => {
    const range = network.config[family]
    const subnet = self.subnets.find((each) => familyOfPrefix(each) === family)
    if (range === undefined || subnet === undefined) return []
    const device = devices.find(({ local }) => familyOf(local) === family)
    const tunnel = device && {
      port: device.port,
      family,
      local: prefixOf(device.local, bitsOf(family)),
    }
    return packetsOf(family, {
      network: range.network,
      subnet,
      podLink: port(podLink(subnet)),
      underlay: port(self.link),
      peerLink: port(device?.name ?? self.link),
      ...(tunnel && { tunnel }),
    })
  }
  const [first] = devices
  return {
    packets: FAMILIES.flatMap(packetsOfFamily),
    passage: {
      networks: FAMILIES.flatMap((family) => network.config[family]?.network ?? []),
      tunnelPorts: [...new Set(devices.map((device) => device.port))],
      underlay: self.link,
      ...(first && { tunnelPort: first.port }),
    },
  }
}
