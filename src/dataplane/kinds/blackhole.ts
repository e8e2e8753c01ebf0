// Blackhole routes of our own subnets in the main table, behind every other route of the same prefix.
import { BLACKHOLE_METRIC, ROUTE_PROTOCOL, type Blackhole } from '../../model/kernel.ts'
import { containsPrefix, isV4Prefix } from '../../model/prefix.ts'
import type { Kind } from '../kind.ts'
import { METRIC, RTPROT } from './route.ts'

export const blackholeKind: Kind<Blackhole> = {
  name: 'blackhole',
  after: ['address'],
  key: (b) => b.to,
  // The kernel hangs those of IPv6 on the loopback device, and drops them when that goes down.
  on: (b) => (isV4Prefix(b.to) ? undefined : 'lo'),
  same: (_want, have) => protocolOf(have) === ROUTE_PROTOCOL && metricOf(have) === BLACKHOLE_METRIC,
  ours(have, scope) {
    if (!scope.networks.some((network) => containsPrefix(network, have.to))) return 'foreign'
    if (protocolOf(have) === ROUTE_PROTOCOL) return 'ours'
    return isUpstreams(have) ? 'adopt' : 'foreign'
  },
  adopts: (want, have) => want.to === have.to && isUpstreams(have),
  disturbs: () => [],
}

const protocolOf = (b: Blackhole): number => b.protocol ?? ROUTE_PROTOCOL
const metricOf = (b: Blackhole): number => b.metric ?? BLACKHOLE_METRIC

/** As upstream's `--ip-blackhole-route` and `ip route add blackhole` make it (flannel-compat 4.10). */
const isUpstreams = (b: Blackhole): boolean =>
  protocolOf(b) === RTPROT.boot && metricOf(b) === METRIC[isV4Prefix(b.to) ? 'ipv4' : 'ipv6']
