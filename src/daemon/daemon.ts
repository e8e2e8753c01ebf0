// The life of flanneld from start to shutdown: find the store, the config and the interface, hold a lease, keep the
// kernel as the leases say. The only place that wires rooms together. Nothing is removed at its end.
import { nexthopUse, type NexthopUse } from '../backend/hops.ts'
import { openDataplane } from '../dataplane/open.ts'
import { UnderlayWatch } from '../dataplane/underlay.ts'
import type { Ownership } from '../dataplane/kind.ts'
import { ownChains } from '../firewall/chain-names.ts'
import { ownTables } from '../firewall/rules.ts'
import { subnetsOf, type Lease } from '../model/lease.ts'
import type { Prefix } from '../model/prefix.ts'
import { hasNexthops } from '../dataplane/carriers/nexthop-table.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { EtcdStore } from '../store/etcd/store.ts'
import { log } from '../sys/log.ts'
import { Thrift } from '../sys/thrift.ts'
import { ConfigFollower } from './config.ts'
import { Certificates } from './certificates.ts'
import { etcdOptions } from './etcd-access.ts'
import { identify, type Identity } from './identity.ts'
import { devicesOf } from './former-devices.ts'
import { SettingsRecord } from './host/settings-record.ts'
import { claimInstance } from './instance-lock.ts'
import { ExternalInterface, FAMILIES } from './interface/external-interface.ts'
import { firstInterface, InterfaceFollower, stackOf, wishOf } from './interface/follow.ts'
import { vxlanMacs } from './interface/read-host.ts'
import { LeaseRecords } from './lease-record.ts'
import { requireNetAdmin } from './net-admin.ts'
import { Network } from './network.ts'
import type { Options } from './options.ts'
import type { ProposedNetwork } from './options/conf/network.ts'
import { Proposal } from './proposal.ts'
import { readSubnetFile } from './subnet-file.ts'
import { Tenancy } from './tenancy.ts'
import type { Report } from './report.ts'
import { serve } from './serve.ts'

const logger = log.from('daemon.ts')
/** What a round leaves of garbage besides that of the wishes it carries out. */
const ROUND_PIECES = 4

/**
 * Runs until the signal; throws what it can't go on with. `report` is filled in on the way; `proposed` is published where
 * the store has none.
 */
export async function runDaemon(
  options: Options,
  report: Report,
  signal: AbortSignal,
  proposed?: ProposedNetwork,
): Promise<void> {
  await using parts = new AsyncDisposableStack()
  try {
    const netlink = parts.use(NetlinkSocket.open('route'))
    // Before anything is written anywhere: a host that can't be programmed takes no lease.
    requireNetAdmin()
    parts.use(claimInstance(options['subnet-file']))
    const certificates = parts.use(new Certificates(report.certificateExpiry, () => report.store))
    const store = parts.use(openStore(options, report, certificates, signal))
    report.store = store
    logger.info(`Created subnet manager: ${store.name}`)
    report.phase = 'waiting for the network config'
    const proposal = proposed && new Proposal(proposed, store)
    const configs = parts.use(new ConfigFollower(store, signal, proposal))
    const network = new Network(await configs.first())
    const { backend } = network
    logger.info(`Found network config - Backend type: ${backend.type}`)
    const stack = stackOf(network.config)
    const external = parts.use(ExternalInterface.open({ wish: wishOf(options), stack }))
    const chosen = await firstInterface(external, report, signal)
    const identity = identify(chosen, vxlanMacs(netlink), nexthopsAs(options, netlink))
    const refusal = backend.refuses(identity.self([]))
    if (refusal !== undefined) throw new Error(`the ${backend.type} back end can't run here: ${refusal}`)
    const previous = readSubnetFile(options['subnet-file'])
    const { 'state-dir': stateDir, 'etcd-prefix': prefix, 'subnet-file': subnetFile } = options
    const records = new LeaseRecords({ stateDir, prefix, subnetFile })
    const landlord = { options, report, store, network, identity, records }
    const follower = new InterfaceFollower({ external, identity, network, report, store })
    const followed = follower.follow(signal)
    const began = await Promise.race([Tenancy.begin(landlord, previous.subnets, signal), followed])
    const tenancy = parts.use(began)
    report.phase = 'programming'
    const underlay = parts.use(UnderlayWatch.open(FAMILIES[stack]))
    const scope = scopeOf(network, identity, previous, tenancy.lease, netlink)
    const thrift = parts.use(new Thrift())
    const onRound = (tookMs: number) => {
      report.roundEnded(tookMs)
      thrift.worked(ROUND_PIECES)
      if (logger.isVerbose(2)) logger.debug(2, `a round of programming took ${tookMs.toFixed(1)} ms`)
    }
    const formerSettings = new SettingsRecord(stateDir)
    const reconciler = parts.use(openDataplane(scope, { onRound, formerSettings }))
    await Promise.race([
      serve(
        {
          ...landlord,
          configs,
          tenancy,
          reconciler,
          underlay,
          follower,
          links: scope.links,
          formerSettings,
          thrift,
        },
        signal,
      ),
      followed,
    ])
  } catch (error) {
    if (!signal.aborted) throw error
  }
  logger.info('Waiting for all goroutines to exit')
}

function openStore(
  options: Options,
  report: Report,
  certificates: Certificates,
  signal: AbortSignal,
): EtcdStore {
  return new EtcdStore({
    ...etcdOptions(options),
    report: (error) => {
      if (signal.aborted) return
      if (error === undefined) logger.info('the store answers again', { about: 'store' })
      else logger.error(`${error.message}; the data plane stays as it is`, { about: 'store' })
    },
    heard: (who, error) => {
      if (!signal.aborted) report.heard(who, error)
    },
    // Each renewal is news, however soon after another.
    note: ({ level, text }) =>
      logger[level](text, {
        about: 'certificates',
        ...(level === 'info' && { key: `${performance.now()}` }),
      }),
    connected: () => void certificates.look(),
  })
}

/** Whether the kernel has nexthop objects is asked, not guessed by its version. */
export function nexthopsAs(options: Options, netlink: NetlinkSocket): NexthopUse {
  const wish = options['nexthop-objects']
  const has = hasNexthops(netlink)
  if (wish === 'always' && !has)
    logger.warning(
      '--nexthop-objects=always: this kernel has none (Linux 5.3 brought them), so routes are plain',
    )
  return nexthopUse(wish, has)
}

/** What is ours in the kernel: the back end's devices, our tables, routes into the cluster's networks; former ones of each too. */
export function scopeOf(
  { config, backend }: Network,
  identity: Identity,
  former: { readonly networks: readonly Prefix[]; readonly subnets: readonly Prefix[] },
  own: Lease,
  netlink: NetlinkSocket,
): Ownership & { readonly links: Set<string> } {
  const devices = backend.devices(identity.self([])).filter((object) => object.kind === 'link')
  return {
    links: new Set([
      ...devices.map(({ name }) => name),
      ...devicesOf([...former.subnets, ...subnetsOf(own)], netlink),
    ]),
    networks: [
      ...[config.ipv4, config.ipv6].flatMap((range) => (range === undefined ? [] : [range.network])),
      ...former.networks,
    ],
    tables: ownTables(),
    chains: ownChains(),
  }
}
