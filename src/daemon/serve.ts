// A daemon at work: holds its lease, turns the store's events into wishes, tells the lease to the host, until the
// signal. Ready after the first full programming and not before.
import type { ConfiguredBackend } from '../backend/list.ts'
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { UnderlayWatch } from '../dataplane/underlay.ts'
import type { Lease } from '../model/lease.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import { subnetsOf } from '../model/lease.ts'
import { isV4Prefix, type Prefix } from '../model/prefix.ts'
import { LeaseTable } from '../store/lease-table.ts'
import type { LeaseEvent, OwnLease, Store } from '../store/store.ts'
import { log } from '../sys/log.ts'
import { releaseStartupMemory } from '../sys/memory.ts'
import type { ConfigFollower } from './config.ts'
import { Fabric } from './fabric.ts'
import type { Identity } from './identity.ts'
import type { Options } from './options.ts'
import type { Report } from './report.ts'
import { writeSubnetFile } from './subnet-file.ts'

const logger = log.from('serve.ts')

export interface Work {
  readonly options: Options
  readonly report: Report
  readonly store: Store
  readonly configs: ConfigFollower
  readonly config: NetworkConfig
  readonly backend: ConfiguredBackend
  readonly identity: Identity
  readonly reconciler: Reconciler
  readonly underlay: UnderlayWatch
}

/** Never returns: rejects with the signal's reason, or with what can't be gone on with. */
export async function serve(work: Work, own: OwnLease, signal: AbortSignal): Promise<never> {
  const { options, report, config, backend, identity, reconciler, underlay } = work
  const table = new LeaseTable(config, own.lease, options['store-reset-grace'] * 1000)
  const firewall = {
    masquerade: options['ip-masq'],
    forward: options['iptables-forward-rules'],
    fullyRandom: !options['ip-masq-fully-random-disable'],
  }
  const self = identity.self(subnetsOf(own.lease))
  const fabric = new Fabric({ reconciler, backend, underlay, table, config, firewall }, self)
  report.fabric = fabric
  report.reconciler = reconciler
  using expiry = new Expiry(table, fabric)
  const peers = followLeases(work, table, fabric, expiry, signal)
  const failed = Promise.race([
    peers.ended,
    work.configs.follow(config, (present) => {
      table.configIs(present, performance.now())
      expiry.arm()
    }),
    followUnderlay(underlay, fabric, signal),
    followOwn(work, own, fabric, signal),
  ])
  await Promise.race([peers.first, failed])
  reconciler.complete()
  await Promise.race([reconciler.settled(signal), failed])
  tellHost(work, own.lease)
  report.ready = true
  report.phase = 'running'
  logger.info('flannel is ready')
  logger.info('Running backend.')
  releaseStartupMemory()
  return failed
}

interface Following {
  /** Resolves with the first snapshot. */
  readonly first: Promise<void>
  /** Rejects when there can be no more. */
  readonly ended: Promise<never>
}

function followLeases(
  work: Work,
  table: LeaseTable,
  fabric: Fabric,
  expiry: Expiry,
  signal: AbortSignal,
): Following {
  const { promise: first, resolve } = Promise.withResolvers<void>()
  const follow = async (): Promise<never> => {
    for await (const event of work.store.leases(signal)) {
      complain(event)
      fabric.apply(table.apply(event, performance.now()))
      expiry.arm()
      if (event.kind === 'snapshot') resolve()
    }
    throw new Error('the store ended its leases')
  }
  return { first, ended: follow() }
}

/** Bad keys that are named one by one; a store full of them is one line more. */
const MOST_TOLD = 10

function complain(event: LeaseEvent): void {
  const rejected = event.kind === 'snapshot' ? event.rejected : event.kind === 'rejected' ? [event] : []
  for (const { key, reason } of rejected.slice(0, MOST_TOLD))
    logger.warning(`a lease in the store is refused, and nothing changes for it: ${reason}`, {
      key: `rejected ${key}`,
    })
  if (rejected.length > MOST_TOLD)
    logger.warning(
      `${rejected.length - MOST_TOLD} more leases in the store are refused; /status names them`,
      {
        key: 'more rejected',
      },
    )
}

async function followUnderlay(underlay: UnderlayWatch, fabric: Fabric, signal: AbortSignal): Promise<never> {
  for await (const _ of underlay.changes(signal)) fabric.replan()
  throw new Error("the kernel's routes can't be followed any more")
}

/** When another host holds our subnet now, this one takes a new one: two hosts must not share it. */
async function followOwn(work: Work, first: OwnLease, fabric: Fabric, signal: AbortSignal): Promise<never> {
  let own = first
  try {
    for (;;) {
      for await (const change of own.changes(signal)) {
        if (change === 'lost') break
        fabric.move(change)
        work.report.own = change
      }
      signal.throwIfAborted()
      logger.error(
        `the lease ${own.lease.key} belongs to another host now; taking a new one: restart the pods of this host`,
      )
      await own[Symbol.asyncDispose]()
      own = await acquire(work, [], signal)
      fabric.move(own.lease)
      tellHost(work, own.lease)
    }
  } finally {
    await own[Symbol.asyncDispose]()
  }
}

/** This host's lease, as soon as the store grants one. */
export async function acquire(
  work: Pick<Work, 'store' | 'config' | 'backend' | 'identity' | 'report'>,
  previous: readonly Prefix[],
  signal: AbortSignal,
): Promise<OwnLease> {
  const { store, config, backend, identity, report } = work
  const attributes = (existing: Lease | undefined) => identity.attributes(backend, existing)
  const own = await store.acquire({ config, attributes, publicIp: identity.publicIp, previous }, signal)
  report.own = own.lease
  logger.info(`Lease acquired: ${subnetsOf(own.lease).join(' and ')}`)
  return own
}

function tellHost({ options, config, backend, identity }: Work, lease: Lease): void {
  const subnets = subnetsOf(lease)
  const ipv4 = subnets.find(isV4Prefix)
  const path = options['subnet-file']
  writeSubnetFile(path, {
    ipv4: config.ipv4 && ipv4 && { network: config.ipv4.network, subnet: ipv4 },
    ipv6: undefined,
    mtuBytes: backend.podMtuBytes(identity.self(subnets), 'ipv4'),
    ipMasq: options['ip-masq'],
  })
  logger.info(`Wrote subnet file to ${path}`)
}

/** Peers that a wiped store hasn't got back in time go: one timer for the table's deadline. */
class Expiry implements Disposable {
  readonly #table: LeaseTable
  readonly #fabric: Fabric
  #timer: NodeJS.Timeout | undefined

  constructor(table: LeaseTable, fabric: Fabric) {
    this.#table = table
    this.#fabric = fabric
  }

  /** To be called whenever the table may have a new deadline. */
  arm(): void {
    clearTimeout(this.#timer)
    const { deadlineMs } = this.#table
    if (deadlineMs === undefined) return
    this.#timer = setTimeout(
      () => {
        const gone = this.#table.expire(performance.now())
        if (gone.length > 0)
          logger.warning(
            `${gone.length} peers have not come back since the store was wiped or replaced: removed`,
          )
        this.#fabric.apply(gone)
        this.arm()
      },
      Math.max(1, deadlineMs - performance.now()),
    )
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
