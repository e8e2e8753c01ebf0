// Addresses on links of our own.
import { isIPv4, type Ip } from '../../model/ip.ts'
import type { Address } from '../../model/kernel.ts'
import { containsIp } from '../../model/prefix.ts'
import type { Kind } from '../kind.ts'

export const addressKind: Kind<Address> = {
  name: 'address',
  // A link may be barred from IPv6.
  after: ['link', 'sysctl'],
  key: (a) => `${a.link}|${a.ip}/${a.length}`,
  on: (a) => a.link,
  same: () => true,
  // Addresses outside the cluster networks are somebody's own doing, as upstream sees it.
  ours: (have, scope) =>
    scope.links.has(have.link) && !isLinkLocal(have.ip) && scope.networks.some((n) => containsIp(n, have.ip))
      ? 'ours'
      : 'foreign',
  adopts: () => false,
  // With a link's last IPv4 address go its plain routes, silently, and its neighbours.
  disturbs: (_before, after) => (after === undefined ? ['neighbour', 'route'] : []),
}

/** fe80::/10: the kernel's own. */
const isLinkLocal = (ip: Ip): boolean => !isIPv4(ip) && /^fe[89ab]/.test(ip)
