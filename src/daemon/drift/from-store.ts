// What flanneld would want here, computed from the store without one: the same functions, and nothing is written, leased
// or kept alive.
import type { Ownership } from '../../dataplane/kind.ts'
import type { Wish } from '../../dataplane/survey.ts'
import { UnderlayWatch } from '../../dataplane/underlay.ts'
import { clampTables } from '../../firewall/mss.ts'
import { suits } from '../../model/allocate.ts'
import { isPublishedBy, subnetsOf, type Lease } from '../../model/lease.ts'
import type { NetworkConfig } from '../../model/net-config.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { EtcdError } from '../../store/etcd/error.ts'
import type { Releasable } from '../../store/etcd/release.ts'
import { EtcdStore } from '../../store/etcd/store.ts'
import { gracesOf } from '../../store/graces.ts'
import type { ConfigEvent, LeaseEvent, StoreError } from '../../store/store.ts'
import { usable } from '../config.ts'
import { nexthopsAs, scopeOf } from '../daemon.ts'
import { etcdOptions } from '../etcd-access.ts'
import { OffloadState } from '../checksum-offload/state.ts'
import { Fabric } from '../fabric.ts'
import { Firewall } from '../firewall.ts'
import { HOST_SOURCE, hostWishes } from '../host/keeper.ts'
import { SettingsRecord } from '../host/settings-record.ts'
import { identify, vtepMacIn, type Identity } from '../identity.ts'
import { ExternalInterface, FAMILIES } from '../interface/external-interface.ts'
import { stackOf, wishOf } from '../interface/follow.ts'
import { vxlanMacs } from '../interface/read-host.ts'
import { LeaseRecords } from '../lease-record.ts'
import { Network } from '../network.ts'
import { findings } from '../paths/open.ts'
import { pathsAsKnown } from '../paths/paths.ts'
import { openSurroundings, peerTable } from '../peer-table.ts'
import type { Options } from '../options.ts'
import { readSubnetFile } from '../subnet-file.ts'

/** For all questions to the store together. */
const DEADLINE_MS = 5_000
/** For another endpoint, once the store has failed. */
const SECOND_CHANCE_MS = 1_000

interface Plan {
  readonly scope: Ownership
  readonly wishes: readonly Wish[]
  readonly refused: ReadonlyMap<string, string>
  readonly doubtful: ReadonlyMap<string, string>
}

/** The wishes; or a sentence about what keeps them from being known. */
export async function planFromStore(options: Options): Promise<Plan | string> {
  await using parts = new AsyncDisposableStack()
  const failed = new AbortController()
  let trouble: StoreError | undefined
  const store = parts.use(
    new EtcdStore({
      ...etcdOptions(options),
      deadlineMs: DEADLINE_MS,
      report: (error) => {
        trouble = error ?? trouble
        if (error !== undefined) setTimeout(() => failed.abort(), SECOND_CHANCE_MS).unref()
      },
    }),
  )
  const signal = AbortSignal.any([AbortSignal.timeout(DEADLINE_MS), failed.signal])
  try {
    return await plan(options, store, signal, parts)
  } catch (error) {
    if (!signal.aborted) throw error
    return `${store.name} can't be read: ${said(trouble)}`
  }
}

/** Without its advice where that is for who tries again. */
function said(trouble: StoreError | undefined): string {
  if (trouble === undefined) return `no answer within ${DEADLINE_MS / 1000} s`
  return trouble instanceof EtcdError && trouble.code === 'unavailable' ? trouble.detail : trouble.message
}

async function plan(
  options: Options,
  store: EtcdStore,
  signal: AbortSignal,
  parts: AsyncDisposableStack,
): Promise<Plan | string> {
  const config = await first(store.configs(signal), (event) => event)
  if (config.kind !== 'config') return whyNone(config)
  const network = usable(config.config)
  if (typeof network === 'string') return `the network config can't be used: ${network}`
  const netlink = parts.use(NetlinkSocket.open('route'))
  const external = parts.use(
    ExternalInterface.open({ wish: wishOf(options), stack: stackOf(network.config) }),
  )
  const chosen = external.look()
  if (typeof chosen === 'string') return `no interface for traffic between hosts: ${chosen}`
  const devices = vxlanMacs(netlink)
  const nexthops = nexthopsAs(options, netlink)
  const prover = identify(chosen, devices, nexthops)
  const own = await ownLease(options, store, network.config, prover, signal)
  if (own === undefined)
    return `this host (${prover.publisher} on ${chosen.link}) has no lease in ${store.name}`
  const leases = await first(store.leases(signal), (event) => (event.kind === 'snapshot' ? event : undefined))
  // The MAC that the lease tells is the one that peers send to, whatever the device has.
  const isTold = [own.ipv4, own.ipv6].some((half) => half && vtepMacIn(half.backendData) !== undefined)
  const identity = identify(chosen, isTold ? new Map() : devices, nexthops)
  identity.attributes(network.backend, own)
  const firewall = await Firewall.open(options, network.config, signal, true)
  return wanted(options, new Network(network), identity, own, leases, netlink, firewall, parts)
}

function wanted(
  options: Options,
  network: Network,
  identity: Identity,
  own: Lease,
  leases: LeaseEvent,
  netlink: NetlinkSocket,
  firewall: Firewall,
  parts: AsyncDisposableStack,
): Plan {
  const wishes = new Map<string, Wish>()
  const reconciler = {
    want: (source: string, objects: Wish['objects'], since = 0n) =>
      void wishes.set(source, { source, objects, since }),
    forget: (source: string) => void wishes.delete(source),
  }
  const table = peerTable(network, own, gracesOf(0))
  const scope = scopeOf(network, identity, readSubnetFile(options['subnet-file']), own, netlink)
  table.surround(parts.use(openSurroundings(network, () => own, scope.links)).look())
  const underlay = parts.use(UnderlayWatch.open(FAMILIES[stackOf(network.config)]))
  const blackhole = options['ip-blackhole-route']
  const offload = new OffloadState(options['checksum-offload'])
  const { known, limitBytes, tunnels } = findings(options, network, identity, netlink)
  identity.limit(limitBytes)
  const paths = pathsAsKnown(known, clampTables(tunnels))
  const fabric = new Fabric(
    { reconciler, network, underlay, table, firewall, blackhole, offload, paths },
    identity.self(subnetsOf(own)),
  )
  fabric.apply(table.apply(leases, performance.now()))
  const host = {
    network,
    self: identity.self(subnetsOf(own)),
    peers: table.peers.size,
    options,
    former: new SettingsRecord(options['state-dir']).all(),
  }
  reconciler.want(HOST_SOURCE, hostWishes(host))
  return {
    scope,
    wishes: [...wishes.values()],
    refused: fabric.refused(),
    doubtful: fabric.doubtful(),
  }
}

/** As flanneld would know it for its own (store/etcd/acquire.ts), but none is taken. */
async function ownLease(
  options: Options,
  store: EtcdStore,
  config: NetworkConfig,
  identity: Identity,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const { 'state-dir': stateDir, 'etcd-prefix': prefix, 'subnet-file': subnetFile } = options
  const records = new LeaseRecords({ stateDir, prefix, subnetFile })
  const proved = new Set<string>()
  const isByAddress = (lease: Lease) => isPublishedBy(lease, identity)
  const found = await store.releasable((lease, cluster) => {
    const isProved = identity.owns(lease) || records.owns(lease, cluster)
    if (isProved) proved.add(lease.key)
    return isProved || isByAddress(lease)
  }, signal)
  const hasMoved = found.some(({ lease }) => proved.has(lease.key) && !isByAddress(lease))
  const isFit = ({ ipv4, ipv6 }: Lease) => suits(config, { ipv4: ipv4?.subnet, ipv6: ipv6?.subnet })
  const age = (a: Releasable, b: Releasable) => Number(a.lease.createRevision - b.lease.createRevision)
  const [own] = found
    .filter(({ lease }) => isFit(lease) && (!hasMoved || proved.has(lease.key)))
    .sort((a, b) => Number(b.isReservation) - Number(a.isReservation) || age(a, b))
  return own?.lease
}

const whyNone = (event: Exclude<ConfigEvent, { kind: 'config' }>): string =>
  event.kind === 'missing'
    ? `there is no network config at ${event.key}`
    : `the network config at ${event.key} is refused: ${event.reason}`

/** The first that `pick` takes. */
async function first<T, R>(events: AsyncIterable<T>, pick: (event: T) => R | undefined): Promise<R> {
  for await (const event of events) {
    const picked = pick(event)
    if (picked !== undefined) return picked
  }
  throw new Error('the store ended what it tells')
}
