// host-gw: peers on the same segment are reached by a plain route through their own address (flannel-compat 4.2).
import { route } from '../model/kernel.ts'
import { reachable, unreachable, type Backend } from './backend.ts'
import { ipv4Half } from './peer.ts'

const TYPE = 'host-gw'

export const hostGw: Backend<undefined> = {
  type: TYPE,
  parse: () => undefined,
  refuses: (self) =>
    self.publicIp === self.ipv4
      ? undefined
      : `the public address ${self.publicIp} differs from ${self.ipv4} of ${self.link}, so this host seems to be behind NAT, which host-gw can't cross; leave --public-ip out, or use vxlan`,
  podMtuBytes: (self) => self.mtuBytes,
  devices: () => [],
  publish: () => ({ ipv4: undefined, ipv6: undefined }),
  reach(peer, self, underlay) {
    const half = ipv4Half(peer, self, TYPE)
    if (typeof half === 'string') return unreachable(half)
    const via = half.publicIp
    return underlay.isOnLink(via, self.link)
      ? reachable(route({ to: half.subnet, via, link: self.link, onLink: false, through: 'plain' }))
      : unreachable(
          `${via} is not on ${self.link}: host-gw needs every host on one segment; use vxlan with DirectRouting`,
        )
  },
}
