// What connection tracking counts: entries, and what went wrong (linux/netfilter/nfnetlink_conntrack.h).
import { Attributes } from './attributes.ts'
import type { NetlinkSocket } from './socket.ts'
import { type Message, Writer } from './wire.ts'

const CTNETLINK = 1 << 8
const IPCTNL_MSG_CT = { getStatsCpu: CTNETLINK | 4, getStats: CTNETLINK | 5 } as const
const NFGEN_BYTES = 4
const CTA_STATS = { insertFailed: 9, drop: 10, earlyDrop: 11 } as const
const CTA_STATS_GLOBAL = { entries: 1, maxEntries: 2 } as const

export interface ConntrackTable {
  /** Connections of this namespace. */
  readonly entries: number
  /** What each namespace may have; undefined before Linux 5.8. */
  readonly max: number | undefined
}
export interface ConntrackFailures {
  /** Connections whose entry couldn't be confirmed, as another one had taken their place. Since the namespace was made. */
  readonly insertFailed: number
  /** Packets dropped as there was no room for their connection. */
  readonly drop: number
  /** Connections thrown out to make room. */
  readonly earlyDrop: number
}

const getStats: Message = Writer.message(
  IPCTNL_MSG_CT.getStats,
  0,
  'get the size of connection tracking',
  (w) => w.zero(NFGEN_BYTES),
)
const getStatsCpu: Message = Writer.message(
  IPCTNL_MSG_CT.getStatsCpu,
  0,
  'list the statistics of connection tracking',
  (w) => w.zero(NFGEN_BYTES),
)

/** Throws NetlinkError: EINVAL where the kernel has no nf_conntrack_netlink. `socket` is of netfilter. */
export function conntrackTable(socket: NetlinkSocket): ConntrackTable {
  let entries = 0
  let max: number | undefined
  for (const { body } of socket.request(getStats)) {
    const a = new Attributes(body, NFGEN_BYTES, 'the size of connection tracking')
    while (a.next())
      if (a.type === CTA_STATS_GLOBAL.entries) entries = a.be32()
      else if (a.type === CTA_STATS_GLOBAL.maxEntries) max = a.be32()
  }
  return { entries, max }
}

/** Of all cores together. Throws as `conntrackTable`. */
export function conntrackFailures(socket: NetlinkSocket): ConntrackFailures {
  const sum = { insertFailed: 0, drop: 0, earlyDrop: 0 }
  socket.dump(getStatsCpu, ({ body }) => {
    const a = new Attributes(body, NFGEN_BYTES, 'the statistics of connection tracking')
    while (a.next())
      if (a.type === CTA_STATS.insertFailed) sum.insertFailed += a.be32()
      else if (a.type === CTA_STATS.drop) sum.drop += a.be32()
      else if (a.type === CTA_STATS.earlyDrop) sum.earlyDrop += a.be32()
    return undefined
  })
  return sum
}
