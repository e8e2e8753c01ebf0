// host-gw: peers on the same segment are reached by a plain route through their own address (flannel-compat 4.2).
import type { Backend } from './backend.ts'
import { directRoute } from './hops.ts'
import { reachEachFamily } from './peer.ts'

const TYPE = 'host-gw'

export const hostGw: Backend<undefined> = {
  type: TYPE,
  parse: () => undefined,

  /** Of IPv6 alone another public address says nothing: an interface has several as a rule. Peers see if it is on link. */
  refuses: ({ link, ipv4 }) =>
    ipv4 === undefined || ipv4.publicIp === ipv4.address
      ? undefined
      : `the public address ${ipv4.publicIp} differs from ${ipv4.address} of ${link}, so this host seems to be behind NAT, which host-gw can't cross; leave --public-ip out, or use vxlan`,

  podMtuBytes: (self) => self.mtuBytes,
  // On one segment the links tell, and pods' own packets are what routers see.
  asksPaths: () => false,
  devices: () => [],
  publish: () => ({ ipv4: undefined, ipv6: undefined }),
  unique: () => undefined,

  reach: (peer, self, underlay) =>
    reachEachFamily(peer, self, TYPE, ({ subnet, publicIp: via }) =>
      underlay.isOnLink(via, self.link)
        ? directRoute(subnet, { via, link: self.link }, self.nexthopUse)
        : `${via} is not on ${self.link}: host-gw needs every host on one segment; use vxlan with DirectRouting`,
    ),
}
