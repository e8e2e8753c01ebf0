// Opens the data plane of a network namespace: the reconciler with a carrier for every kind there is.
import type { Family } from '../model/ip.ts'
import type { Namespace } from '../sys/namespace.ts'
import { AddressCarrier } from './carriers/address.ts'
import { BlackholeCarrier } from './carriers/blackhole.ts'
import { FdbCarrier } from './carriers/fdb.ts'
import { IptablesChains } from './carriers/iptables-chains.ts'
import { LinkCarrier } from './carriers/link.ts'
import { NeighbourCarrier } from './carriers/neighbour.ts'
import { NexthopCarrier } from './carriers/nexthop.ts'
import { NexthopTable } from './carriers/nexthop-table.ts'
import { NftTables } from './carriers/nft-tables.ts'
import { RouteCarrier } from './carriers/route.ts'
import { Rtnetlink } from './carriers/rtnetlink.ts'
import { SysctlCarrier } from './carriers/sysctls.ts'
import { type FormerSettings, formerSettings } from './former-settings.ts'
import type { Ownership } from './kind.ts'
import { addressKind } from './kinds/address.ts'
import { blackholeKind } from './kinds/blackhole.ts'
import { fdbKind } from './kinds/fdb.ts'
import { iptablesChainKind } from './kinds/iptables-chain.ts'
import { linkKind } from './kinds/link.ts'
import { neighbourKind } from './kinds/neighbour.ts'
import { nexthopKind } from './kinds/nexthop.ts'
import { nftTableKind } from './kinds/nft-table.ts'
import { routeKind } from './kinds/route.ts'
import { sysctlKind } from './kinds/sysctl.ts'
import { Ledger } from './ledger.ts'
import { Reconciler } from './reconciler.ts'
import type { AnyLedger } from './rounds.ts'

export interface DataplaneOptions {
  /** This thread's unless given. */
  readonly namespace?: Namespace
  readonly auditMs?: number
  /** What kernel settings were before they were set; forgotten with the process unless given. */
  readonly formerSettings?: FormerSettings
  /** Told how long each round took. */
  readonly onRound?: (tookMs: number) => void
}

/**
 * Nothing is written to the kernel before something is wanted, and nothing removed before `complete()`. nf_tables is
 * needed only if the scope names tables. Throws NetlinkError or SysError where the kernel can't be spoken to.
 */
export function openDataplane(scope: Ownership, options: DataplaneOptions = {}): Reconciler {
  const { namespace, formerSettings: former, ...rest } = options
  const { ledgers, resources } = openLedgers(scope, namespace, former)
  return new Reconciler(ledgers, { ...rest, resources })
}

interface OpenLedgers {
  /** One of each kind, with its carrier. */
  readonly ledgers: readonly AnyLedger[]
  /** To be closed with them: the carriers' sockets. */
  readonly resources: Disposable
}

/** What a reconciler works with. Throws as `openDataplane`. */
export function openLedgers(
  scope: Ownership,
  namespace: Namespace | undefined,
  former: FormerSettings = formerSettings(),
): OpenLedgers {
  using resources = new DisposableStack()
  const session = resources.use(Rtnetlink.open(scope, namespace))
  const nexthops = new NexthopTable()
  const ledgers = [
    new Ledger(linkKind, new LinkCarrier(session), scope),
    new Ledger(sysctlKind, new SysctlCarrier(session, former), scope),
    new Ledger(addressKind, new AddressCarrier(session), scope),
    new Ledger(neighbourKind, new NeighbourCarrier(session), scope),
    new Ledger(fdbKind, new FdbCarrier(session), scope),
    new Ledger(nexthopKind, new NexthopCarrier(session, nexthops), scope),
    new Ledger(routeKind, new RouteCarrier(session, nexthops), scope),
    new Ledger(blackholeKind, new BlackholeCarrier(session), scope),
  ]
  const tables =
    scope.tables.size === 0
      ? []
      : [
          new Ledger(
            nftTableKind,
            resources.use(new NftTables([...scope.tables].map(tableOf), namespace)),
            scope,
          ),
        ]
  const { chains } = scope
  const iptables =
    chains === undefined || chains.size === 0
      ? []
      : [new Ledger(iptablesChainKind, resources.use(new IptablesChains(chains, namespace)), scope)]
  return { ledgers: [...ledgers, ...tables, ...iptables], resources: resources.move() }
}

/** `ipv4 flannel-ipv4` as Ownership has it. */
function tableOf(text: string): { family: Family; name: string } {
  const space = text.indexOf(' ')
  const family = text.slice(0, space)
  if (family !== 'ipv4' && family !== 'ipv6') throw new RangeError(`${text} names no nf_tables table`)
  return { family, name: text.slice(space + 1) }
}
