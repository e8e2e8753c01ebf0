// VXLAN devices that this host had by a former network config: the VNI or the back end changed while no flanneld ran.
import { baseOf, type Prefix } from '../model/prefix.ts'
import { listAddresses, parseAddress } from '../netlink/address.ts'
import { listLinks, parseLink } from '../netlink/link.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import { ourDevices } from './uninstall/proof.ts'

/** Names of those that have the first address of one of these subnets of ours: a device of another flanneld's has its own. */
export function devicesOf(subnets: readonly Prefix[], netlink: NetlinkSocket): string[] {
  const links = netlink.dump(listLinks(), (reply) => parseLink(reply.body))
  const bases = new Set(subnets.map((subnet) => baseOf(subnet)))
  const ours = new Set(
    netlink
      .dump(listAddresses(), (reply) => parseAddress(reply.body))
      .filter(({ ip }) => bases.has(ip))
      .map(({ linkIndex }) => linkIndex),
  )
  return ourDevices(links, []).flatMap(({ index, name }) => (ours.has(index) ? [name] : []))
}
