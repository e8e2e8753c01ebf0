// Taking this host's lease: as soon as the store has one for it.
import { subnetsOf, type Lease } from '../model/lease.ts'
import type { Prefix } from '../model/prefix.ts'
import { StoreError, type LeaseWish, type OwnLease, type Store } from '../store/store.ts'
import { log } from '../sys/log.ts'
import type { Identity } from './identity.ts'
import type { LeaseRecords } from './lease-record.ts'
import type { Network } from './network.ts'
import type { Options } from './options.ts'
import type { Report } from './report.ts'

const logger = log.from('acquire.ts')
/** What the lines about our lease tell the state of. */
export const ABOUT = { about: 'lease' }

export interface Landlord {
  readonly options: Options
  readonly report: Report
  readonly store: Store
  readonly network: Network
  readonly identity: Identity
  readonly records: LeaseRecords
}

/** A lease as soon as the store has one for us: where all subnets are taken, once one becomes free. */
export async function acquire(
  from: Landlord,
  previous: readonly Prefix[],
  signal: AbortSignal,
): Promise<OwnLease> {
  const { store, network, identity, records, report } = from
  const attributes = (existing: Lease | undefined) => identity.attributes(network.backend, existing)
  const owns = (lease: Lease, cluster: string) => identity.owns(lease) || records.owns(lease, cluster)
  const wish: LeaseWish = {
    get config() {
      return network.config
    },
    attributes,
    get publicIp() {
      return identity.publicIp
    },
    get publicIpv6() {
      return identity.publicIpv6
    },
    owns,
    previous,
  }
  const attempt = () => store.acquire(wish, signal)
  report.phase = 'waiting for a lease'
  const own = (await unlessFull(attempt, report)) ?? (await onceFree(attempt, from, signal))
  report.own = own.lease
  report.ownLease = own
  logger.info(`Lease acquired: ${subnetsOf(own.lease).join(' and ')}`, ABOUT)
  return own
}

async function onceFree(
  attempt: () => Promise<OwnLease>,
  { store, report }: Landlord,
  signal: AbortSignal,
): Promise<OwnLease> {
  for await (const event of store.leases(signal)) {
    if (event.kind !== 'snapshot' && event.kind !== 'delete') continue
    const own = await unlessFull(attempt, report)
    if (own !== undefined) return own
  }
  throw new Error('the store ended its leases')
}

async function unlessFull(attempt: () => Promise<OwnLease>, report: Report): Promise<OwnLease | undefined> {
  try {
    return await attempt()
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'full')) throw error
    report.phase = `waiting for a lease: ${error.message}`
    logger.error(`${error.message}; waiting until one is free`, ABOUT)
    return undefined
  }
}
