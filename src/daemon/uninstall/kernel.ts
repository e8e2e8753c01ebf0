// The kernel's part of an uninstall: a reconciler that wants nothing, with a scope read from the kernel itself, so that
// devices of a former VNI and routes into a former network go too.
import { setTimeout } from 'node:timers/promises'
import { openDataplane } from '../../dataplane/open.ts'
import type { Reconciler } from '../../dataplane/reconciler.ts'
import type { Drift } from '../../dataplane/report.ts'
import type { FormerSettings } from '../../dataplane/former-settings.ts'
import { ownChains } from '../../firewall/chain-names.ts'
import { MSS_TABLE } from '../../firewall/mss.ts'
import { tableName } from '../../firewall/rules.ts'
import { FAMILIES } from '../../model/ip.ts'
import { ROUTE_PROTOCOL, type KindName } from '../../model/kernel.ts'
import type { Prefix } from '../../model/prefix.ts'
import { isMissing, isRefused } from '../../netlink/error.ts'
import { listLinks, parseLink, type LinkInfo } from '../../netlink/link.ts'
import { listNexthops, parseNexthop, removeNexthop, type NexthopInfo } from '../../netlink/nexthop.ts'
import { findTable } from '../../netlink/nftables/read.ts'
import { dumpRoutes } from '../../netlink/route-info.ts'
import { TABLE } from '../../netlink/route.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { keyName } from '../../status/drift/words.ts'
import { item, type Part } from './item.ts'
import { isOurNexthop, ourDevices } from './proof.ts'
import { settingsIn } from './settings.ts'

export interface LinksAndNexthops {
  readonly links: readonly LinkInfo[]
  readonly nexthops: readonly NexthopInfo[]
}

export const readLinks = (netlink: NetlinkSocket): LinksAndNexthops => ({
  links: netlink.dump(listLinks(), (reply) => parseLink(reply.body)),
  nexthops: readNexthops(netlink),
})

/** `networks`: those that are known of, to name what is left in them. The reconciler is closed with `parts`. */
export async function kernelPart(
  netlink: NetlinkSocket,
  { links, nexthops }: LinksAndNexthops,
  networks: readonly Prefix[],
  formerSettings: FormerSettings,
  withinMs: number,
  parts: AsyncDisposableStack,
): Promise<Part> {
  const devices = ourDevices(links, nexthops)
  const routes = FAMILIES.flatMap((family) =>
    dumpRoutes(netlink, { family, table: TABLE.main, protocol: ROUTE_PROTOCOL }),
  )
  const reconciler = parts.use(
    openDataplane(
      {
        links: new Set(devices.map(({ name }) => name)),
        networks: [...new Set([...networks, ...routes.map(({ to }) => to)])],
        tables: new Set(ourTables()),
        chains: ownChains(),
      },
      { formerSettings },
    ),
  )
  const drift = await reconciler.drift()
  let removal: Promise<ReadonlyMap<string, string>> | undefined
  /** All at once, in the order in which they depend on one another. */
  const removeAll = () => (removal ??= emptied(reconciler, withinMs))
  const stray = nexthops.filter((n) => isOurNexthop(n) && !devices.some((d) => d.index === n.linkIndex))
  return {
    items: [
      ...[...describe(drift), ...settingsIn(drift, formerSettings)].map(({ what, key }) =>
        item(what, async () => (await removeAll()).get(key)),
      ),
      ...stray.map(({ id }) =>
        item(`next hop ${id}`, () => ignoreMissing(() => netlink.request(removeNexthop(id)))),
      ),
    ],
    left: drift
      .filter(({ what }) => what === 'stray')
      .map(({ kind, key }) =>
        kind === 'blackhole'
          ? `blackhole route ${key}: made by upstream or by hand (ip route del blackhole ${key})`
          : `${kind} ${key}: made by upstream's host-gw or by hand (ip ${kind} del ${key})`,
      ),
  }
}

/** Between looks at what takes long. */
const LATE_MS = 50

/** Why what is still there is, by `kind key`. */
async function emptied(reconciler: Reconciler, withinMs: number): Promise<ReadonlyMap<string, string>> {
  const deadline = AbortSignal.timeout(withinMs)
  reconciler.complete()
  try {
    for (;;) {
      await reconciler.settled(deadline)
      const failures = new Map([...reconciler.failures].map(([key, { reason }]) => [key, reason]))
      // A slow iptables, or one that waits for its lock, goes on by itself.
      const late = (await reconciler.drift()).some(
        ({ kind, key, what }) =>
          kind === 'iptables-chain' && what === 'unwanted' && !failures.has(`${kind} ${key}`),
      )
      if (!late) return failures
      await setTimeout(LATE_MS, undefined, { signal: deadline })
    }
  } catch (error) {
    if (!deadline.aborted) throw error
    const drift = await reconciler.drift()
    return new Map(
      drift.map(({ kind, key }) => [`${kind} ${key}`, 'it is there again: somebody puts it back']),
    )
  }
}

/** Gone already, with what it hung on. */
export function ignoreMissing(remove: () => void): void {
  try {
    remove()
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

function readNexthops(netlink: NetlinkSocket): NexthopInfo[] {
  try {
    return netlink.dump(listNexthops(), (reply) => parseNexthop(reply.body))
  } catch (error) {
    // A kernel before 5.3 has none.
    if (isRefused(error, 'EOPNOTSUPP', 'EINVAL')) return []
    throw error
  }
}

/** `family name` of the tables there are; none where the kernel has no nf_tables. */
function ourTables(): string[] {
  let netfilter: NetlinkSocket
  try {
    netfilter = NetlinkSocket.open('netfilter')
  } catch (error) {
    if (error instanceof Error && 'errnoName' in error && error.errnoName === 'EPROTONOSUPPORT') return []
    throw error
  }
  using socket = netfilter
  const names = FAMILIES.flatMap((family) => [
    { family, name: tableName(family) },
    { family, name: MSS_TABLE },
  ])
  const there = names.filter((table) => {
    try {
      return findTable(socket, table) !== undefined
    } catch (error) {
      if (isRefused(error, 'EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT')) return false
      throw error
    }
  })
  return there.map(({ family, name }) => `${family} ${name}`)
}

/** `key` as in Reconciler.failures. What goes with a device is counted there; all else has a line of its own. */
function describe(drift: readonly Drift[]): { what: string; key: string }[] {
  const unwanted = (kind: KindName) =>
    drift.filter((d) => d.kind === kind && d.what === 'unwanted').map(({ key }) => key)
  const counted = (device: string) =>
    COUNTED.flatMap(([kind, one, many]) => {
      const count = unwanted(kind).filter((key) => key.split('|').includes(device)).length
      return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`]
    })
  return [
    ...unwanted('route').map((key) => ({ what: `route ${key}`, key: `route ${key}` })),
    ...unwanted('blackhole').map((key) => ({ what: `blackhole route ${key}`, key: `blackhole ${key}` })),
    ...unwanted('link').map((name) => {
      const more = counted(name).join(', ')
      return { what: `device ${name}${more === '' ? '' : ` with ${more}`}`, key: `link ${name}` }
    }),
    ...unwanted('nft-table').map((key) => ({
      what: `nf_tables table ${key.replace(/^ipv4 /, 'ip ').replace(/^ipv6 /, 'ip6 ')}`,
      key: `nft-table ${key}`,
    })),
    ...unwanted('iptables-chain').map((key) => ({
      what: keyName('iptables-chain', key),
      key: `iptables-chain ${key}`,
    })),
  ]
}

const COUNTED = [
  ['address', 'address', 'addresses'],
  ['neighbour', 'neighbour', 'neighbours'],
  ['fdb', 'FDB entry', 'FDB entries'],
  ['nexthop', 'next hop', 'next hops'],
] as const
