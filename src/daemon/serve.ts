// A daemon at work: turns what the store and the underlay tell into wishes, until the signal. Ready after the first
// full programming and not before.
import type { FormerSettings } from '../dataplane/former-settings.ts'
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { UnderlayWatch } from '../dataplane/underlay.ts'
import { subnetsOf, type Lease } from '../model/lease.ts'
import { gracesOf } from '../store/graces.ts'
import { Bell } from '../sys/bell.ts'
import { log } from '../sys/log.ts'
import { endStart } from '../sys/start.ts'
import type { Thrift } from '../sys/thrift.ts'
import type { ConfigFollower } from './config.ts'
import { OffloadFollower } from './checksum-offload/follow.ts'
import { OffloadState } from './checksum-offload/state.ts'
import { Fabric } from './fabric.ts'
import { Firewall } from './firewall.ts'
import { missingOfOwn } from './health.ts'
import { HostKeeper } from './host/keeper.ts'
import type { InterfaceFollower } from './interface/follow.ts'
import { NetworkChange } from './network-change.ts'
import { followSurroundings, lookAround, openSurroundings, peerTable } from './peer-table.ts'
import { followPaths, openPaths } from './paths/open.ts'
import { NO_PATHS } from './paths/paths.ts'
import { Peers } from './peers.ts'
import type { Landlord } from './acquire.ts'
import type { Tenancy } from './tenancy.ts'
import { followWalls } from './walls/follow.ts'

const logger = log.from('serve.ts')

export interface Work extends Landlord {
  readonly configs: ConfigFollower
  readonly tenancy: Tenancy
  readonly reconciler: Reconciler
  readonly underlay: UnderlayWatch
  readonly follower: InterfaceFollower
  readonly formerSettings: FormerSettings
  readonly thrift: Thrift
  /** Names of this host's links: the reconciler's scope, which grows with a new VNI. */
  readonly links: Set<string>
}

/** Never returns: rejects with the signal's reason, or with what can't be gone on with. */
export async function serve(work: Work, signal: AbortSignal): Promise<never> {
  const { options, report, network, identity, store, configs, tenancy, reconciler, underlay, follower } = work
  const table = peerTable(network, tenancy.lease, gracesOf(options['store-reset-grace'] * 1000))
  using surroundings = openSurroundings(network, () => tenancy.lease, work.links)
  const firewall = await Firewall.open(options, network.config, signal)
  report.firewall = firewall
  const selfWith = (own: Lease) => identity.self(subnetsOf(own))
  const blackhole = options['ip-blackhole-route']
  const offload = new OffloadState(options['checksum-offload'])
  report.offload = offload
  using keeper = openPaths(options, network, identity)
  report.paths = keeper
  identity.limit(keeper?.limitBytes)
  const paths = keeper ?? NO_PATHS
  const fabric = new Fabric(
    { reconciler, network, underlay, table, firewall, blackhole, offload, paths },
    selfWith(tenancy.lease),
  )
  const host = new HostKeeper({
    options,
    network,
    reconciler,
    report,
    former: work.formerSettings,
    self: () => selfWith(tenancy.lease),
    peers: () => table.peers.size,
  })
  const moved = new Bell()
  fabric.onBecome = () => moved.ring()
  follower.moved = () => {
    fabric.become(selfWith(tenancy.lease), tenancy.lease)
    host.look()
    tenancy.relocated()
  }
  followPaths(keeper, fabric, work)
  const changes = new NetworkChange({ ...work, fabric })
  report.fabric = fabric
  report.reconciler = reconciler
  using peers = new Peers(table, fabric, report, work.thrift)
  const failed = Promise.race([
    peers.follow(store, signal),
    configs.follow(network, {
      present: (is) => peers.configIs(is),
      change(next) {
        const judgement = changes.take(next)
        host.look()
        return judgement
      },
      refused: (reason) => (report.configRefusal = reason),
    }),
    firewall.follow(
      () => network.config,
      () => fabric.equip(),
      signal,
    ),
    followUnderlay(underlay, fabric, signal),
    followSurroundings(surroundings, fabric, signal),
    followWalls({ options, network, report, self: () => selfWith(tenancy.lease), moved }, signal),
    tenancy.follow((lease) => {
      // Our pods' bridge stays where our subnet was, which may be a peer's by now.
      lookAround(surroundings, fabric)
      fabric.become(selfWith(lease), lease)
    }, signal),
    host.follow(signal),
    tenancy.publishing(signal),
    tenancy.retelling(signal),
  ])
  await Promise.race([peers.known, failed])
  host.look()
  reconciler.complete()
  await Promise.race([programmed(work, failed, signal), failed])
  report.programmed = true
  await Promise.race([tenancy.tell(signal), failed])
  logger.info('flannel is ready')
  logger.info('Running backend.')
  endStart()
  using offloads = new OffloadFollower({ ...work, offload, fabric })
  // Awaited, for what is disposed here serves until then.
  return await Promise.race(offload.isOpen ? [failed, offloads.follow(signal)] : [failed])
}

/** Once all is in the kernel that can be, and this host's own devices and rules are: without them no pod reaches any. */
async function programmed(
  { reconciler, report }: Work,
  failed: Promise<never>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const round = Promise.withResolvers<void>()
    report.onRound = round.resolve
    await reconciler.settled(signal)
    const reason = missingOfOwn(reconciler)
    if (reason === undefined) break
    report.phase = `programming: ${reason}`
    logger.error(`not ready, for this host's own devices or rules are missing; trying again: ${reason}`)
    await Promise.race([round.promise, failed])
  }
  report.onRound = () => undefined
}

async function followUnderlay(underlay: UnderlayWatch, fabric: Fabric, signal: AbortSignal): Promise<never> {
  for await (const _ of underlay.changes(signal)) fabric.replan()
  throw new Error("the kernel's routes can't be followed any more")
}
