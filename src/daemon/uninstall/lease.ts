// The store's part of an uninstall: this host's lease, given back if the store answers soon; else it ends by itself.
import type { Ip } from '../../model/ip.ts'
import { publisherOf, subnetsOf, type Lease, type SubnetKey } from '../../model/lease.ts'
import type { Mac } from '../../model/mac.ts'
import type { Prefix } from '../../model/prefix.ts'
import { EtcdError } from '../../store/etcd/error.ts'
import { Keys } from '../../store/etcd/keys.ts'
import type { Releasable } from '../../store/etcd/release.ts'
import { EtcdStore } from '../../store/etcd/store.ts'
import { StoreError } from '../../store/store.ts'
import { etcdOptions } from '../etcd-access.ts'
import { vtepMacIn } from '../identity.ts'
import { LeaseRecords } from '../lease-record.ts'
import type { Options } from '../options.ts'
import { item, type Part } from './item.ts'

/** For connecting and one answer. */
const DEADLINE_MS = 4_000

export interface Proof {
  /** Of the VXLAN devices that are here. */
  readonly macs: readonly Mac[]
  /** All of this host's, and what it publishes. */
  readonly addresses: ReadonlySet<Ip>
  /** Of subnet.env. */
  readonly subnets: readonly Prefix[]
  /** What the lease may be called in the store, by this host's files. */
  readonly names: ReadonlySet<string>
}

/** By the record, by the MAC of a device, or by address and subnet together: an address alone may be another host's by now. */
export function provesLease(
  lease: Lease,
  cluster: string,
  records: Pick<LeaseRecords, 'owns'>,
  { macs, addresses, subnets }: Proof,
): boolean {
  if (records.owns(lease, cluster)) return true
  const told = [lease.ipv4, lease.ipv6].flatMap((half) => vtepMacIn(half?.backendData) ?? [])
  if (told.some((mac) => macs.includes(mac))) return true
  const publicIp = publisherOf(lease)
  return (
    publicIp !== undefined && addresses.has(publicIp) && subnetsOf(lease).every((s) => subnets.includes(s))
  )
}

/** The leases that are ours. The store is closed with `parts`. */
export async function leasePart(
  options: Options,
  records: LeaseRecords,
  proof: Proof,
  parts: AsyncDisposableStack,
): Promise<Part> {
  const store = parts.use(
    new EtcdStore({
      ...etcdOptions(options),
      deadlineMs: DEADLINE_MS,
    }),
  )
  const owns = (lease: Lease, cluster: string) => provesLease(lease, cluster, records, proof)
  let found: readonly Releasable[]
  try {
    found = await store.releasable(owns, AbortSignal.timeout(DEADLINE_MS))
  } catch (error) {
    const keys = new Keys(options['etcd-prefix'])
    const removals = [...proof.names].map((name) => `etcdctl del '${keys.lease(name as SubnetKey)}'`)
    const atOnce = removals.length === 0 ? '' : `, or at once by ${removals.join('; ')}`
    return {
      items: [],
      left: [
        `the lease in ${store.name}, if there is one: ${said(error)}. It ends by itself within a day${atOnce}; where that is not flanneld's store, give flanneld's own --etcd-… flags`,
      ],
    }
  }
  return {
    items: found
      .filter(({ isReservation }) => !isReservation)
      .map((lease) => item(`lease ${lease.key} in ${store.name}`, () => release(lease))),
    left: found
      .filter(({ isReservation }) => isReservation)
      .map(
        ({ key }) => `lease ${key} in ${store.name}: it is reserved, without an end (etcdctl del '${key}')`,
      ),
  }
}

async function release(lease: Releasable): Promise<string | undefined> {
  try {
    const isGone = await lease.release(AbortSignal.timeout(DEADLINE_MS))
    return isGone ? undefined : 'somebody has changed it meanwhile'
  } catch (error) {
    return said(error)
  }
}

function said(error: unknown): string {
  // Without its advice, which is for who tries again.
  if (error instanceof EtcdError) return error.detail
  if (error instanceof StoreError) return error.message
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return `no answer within ${DEADLINE_MS / 1000} s`
  throw error
}
