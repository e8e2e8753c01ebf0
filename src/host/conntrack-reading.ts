// Reads how full connection tracking is and what it has lost. Where it isn't in use nothing is loaded for it.
import { conntrackFailures, conntrackTable } from '../netlink/conntrack.ts'
import { isRefused } from '../netlink/error.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'
import { readNumber } from '../sys/sysctl.ts'
import type { ConntrackReading } from './conntrack-watch.ts'

/** Undefined where there is no connection tracking. */
export function readConntrack(namespace?: Namespace): ConntrackReading | undefined {
  const entries = readNumber('net/netfilter/nf_conntrack_count', namespace)
  const max = readNumber('net/netfilter/nf_conntrack_max', namespace)
  if (typeof entries !== 'number' || typeof max !== 'number') return undefined
  try {
    using socket = NetlinkSocket.open('netfilter', namespace)
    const table = conntrackTable(socket)
    return { entries: table.entries, max: table.max ?? max, ...conntrackFailures(socket) }
  } catch (error) {
    // Without nf_conntrack_netlink only the settings tell.
    if (isRefused(error, 'EINVAL', 'EOPNOTSUPP', 'EPERM')) return { entries, max }
    throw error
  }
}
