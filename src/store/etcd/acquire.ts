// How a host comes by its lease in etcd: its own one again, else a free subnet that no other host can take meanwhile
// (flannel-compat 3.2.4, with its races closed).
import { allocate, suits } from '../../model/allocate.ts'
import {
  formatLeaseAttributes,
  formatSubnetKey,
  isPublishedBy,
  subnetsOf,
  type Lease,
} from '../../model/lease.ts'
import type { NetworkConfig } from '../../model/net-config.ts'
import { containsPrefix, overlaps, type Prefix } from '../../model/prefix.ts'
import { StoreError, type LeaseWish } from '../store.ts'
import type { Client } from './client.ts'
import { createdBefore, put, remove, transact, unchanged, type KeyValue, type Position } from './kv.ts'
import { grant, keepAlive, type Granted } from './lease.ts'
import { look, type Look } from './look.ts'
import { Backoff } from './wait.ts'

/** A lease of ours as it stands in etcd. */
export interface Held {
  readonly kv: KeyValue
  readonly lease: Lease
  readonly clusterId: bigint
  /** Length of the etcd lease's life, just begun; undefined for a reservation, which has no end. */
  readonly ttlSeconds: number | undefined
}

interface Found {
  readonly kv: KeyValue
  readonly lease: Lease
}
/** The leases at one moment. */
interface View {
  readonly at: Position
  /** Those that are ours, in the order of our liking: reservations first, then the oldest. */
  readonly own: readonly Found[]
  /** Those of other hosts. */
  readonly others: readonly Lease[]
  /** Every subnet that a key names, with that key; readable value or not. */
  readonly taken: readonly { readonly key: string; readonly subnets: readonly Prefix[] }[]
}

/** Throws StoreError: `full` if no subnet is free, or what etcd has against it. */
export async function acquire(
  client: Client,
  wish: LeaseWish,
  ttlSeconds: number,
  signal: AbortSignal,
): Promise<Held> {
  const { config } = wish
  const backoff = new Backoff(5, 2_000)
  // Granted once, however many attempts it takes; never revoked, lest an attempt that seemed to fail has used it.
  let granted: Granted | undefined
  const life = async () => (granted ??= await grant(client.channel, ttlSeconds, signal))
  for (;;) {
    const view = viewOf(client, await look(client, signal), wish)
    const mine = view.own.find((found) => fits(config, found.lease) && !isOutranked(config, found, view))
    const held = mine
      ? await takeUp(client, wish, mine, view.at, ttlSeconds, life, signal)
      : await create(client, wish, config, view, life, signal)
    if (held) return held
    // Something changed between looking and writing: another host was faster.
    await backoff.pause(signal)
  }
}

const fits = (config: NetworkConfig, lease: Lease): boolean =>
  suits(config, { ipv4: lease.ipv4?.subnet, ipv6: lease.ipv6?.subnet })

/** Another host was earlier with a subnet that overlaps: every peer sends its traffic there, not here. */
const isOutranked = (config: NetworkConfig, { kv, lease }: Found, { others }: View): boolean =>
  others.some(
    (other) =>
      other.createRevision < kv.createRevision &&
      subnetsOf(other).some(
        (theirs) =>
          [config.ipv4, config.ipv6].some(
            (range) => range !== undefined && containsPrefix(range.network, theirs),
          ) && subnetsOf(lease).some((ours) => overlaps(ours, theirs)),
      ),
  )

/** What the leases at one moment are to this host. */
function viewOf(client: Client, { keys, leases, place }: Look, wish: LeaseWish): View {
  const cluster = clusterName(place.clusterId)
  const own: (Found & { readonly isProved: boolean })[] = []
  const others: Lease[] = []
  const taken: { key: string; subnets: readonly Prefix[] }[] = []
  for (const [index, kv] of keys.entries()) {
    const lease = leases[index]
    if (lease === undefined || typeof lease === 'string') {
      // Its key may name a subnet all the same.
      const subnets = client.keys.subnetsIn(kv.key)
      if (subnets.length > 0) taken.push({ key: kv.key, subnets })
      continue
    }
    taken.push({ key: kv.key, subnets: subnetsOf(lease) })
    const isProved = wish.owns?.(lease, cluster) === true
    if (isProved || isPublishedBy(lease, wish)) own.push({ kv, lease, isProved })
    else others.push(lease)
  }
  const isLease = ({ kv }: Found) => (kv.lease === 0n ? 0 : 1)
  own.sort((a, b) => isLease(a) - isLease(b) || Number(a.kv.createRevision - b.kv.createRevision))
  // Where our address was another, a lease with our new one may be of the host that had this address before.
  const hasMoved = own.some(({ lease, isProved }) => isProved && !isPublishedBy(lease, wish))
  return { at: place, own: hasMoved ? own.filter(({ isProved }) => isProved) : own, others, taken }
}

/** How OwnLease.cluster is written. */
export const clusterName = (clusterId: bigint): string => clusterId.toString(16)

/** Our lease of before, published anew if need be; undefined if it changed under our hands. */
async function takeUp(
  client: Client,
  wish: LeaseWish,
  { kv, lease }: Found,
  { clusterId }: Position,
  wantedSeconds: number,
  life: () => Promise<Granted>,
  signal: AbortSignal,
): Promise<Held | undefined> {
  const value = formatLeaseAttributes(wish.attributes(lease))
  let id = kv.lease
  let ttlSeconds: number | undefined
  if (id !== 0n) {
    ttlSeconds = await keepAlive(client.channel, id, signal)
    if (ttlSeconds === undefined || ttlSeconds < wantedSeconds) ({ id, ttlSeconds } = await life())
  }
  if (value === kv.value && id === kv.lease) return { kv, lease, clusterId, ttlSeconds }
  const { done, at } = await transact(
    client.channel,
    [unchanged(kv.key, kv.modRevision)],
    [put(kv.key, value, id)],
    signal,
  )
  const written = { ...kv, value, lease: id, modRevision: at.revision }
  return done ? heldOf(client, written, at.clusterId, ttlSeconds) : undefined
}

/** A new lease; undefined if a key that may overlap it appeared meanwhile. */
async function create(
  client: Client,
  wish: LeaseWish,
  config: NetworkConfig,
  view: View,
  life: () => Promise<Granted>,
  signal: AbortSignal,
): Promise<Held | undefined> {
  // Ours that no longer fit go in the same transaction; a reservation is the operator's, and stays.
  const replaced = view.own.filter(({ kv }) => kv.lease !== 0n).slice(0, 50)
  const replacedKeys = new Set(replaced.map(({ kv }) => kv.key))
  const taken = view.taken.filter(({ key }) => !replacedKeys.has(key)).flatMap(({ subnets }) => subnets)
  const had = [...replaced.flatMap(({ lease }) => subnetsOf(lease)), ...wish.previous]
  const place = allocate(config, taken, had, Math.random)
  if (place === undefined) throw outOfSubnets(config, view)
  const { id, ttlSeconds } = await life()
  const key = client.keys.lease(formatSubnetKey(place.ipv4, place.ipv6))
  const value = formatLeaseAttributes(wish.attributes(view.own[0]?.lease))
  const { done, at } = await transact(
    client.channel,
    [
      unchanged(key, 0n),
      ...client.keys.around(place).map((range) => createdBefore(range, view.at.revision + 1n)),
      ...replaced.map(({ kv }) => unchanged(kv.key, kv.modRevision)),
    ],
    [...replaced.map(({ kv }) => remove(kv.key)), put(key, value, id)],
    signal,
  )
  const kv = { key, value, lease: id, createRevision: at.revision, modRevision: at.revision }
  return done ? heldOf(client, kv, at.clusterId, ttlSeconds) : undefined
}

/** A key that we have just written, as a lease. */
export function heldOf(
  client: Client,
  kv: KeyValue,
  clusterId: bigint,
  ttlSeconds: number | undefined,
): Held {
  const lease = client.keys.leaseOf(kv)
  if (typeof lease === 'string') throw new StoreError('invalid', `our own lease ${kv.key} is bad: ${lease}`)
  return { kv, lease, clusterId, ttlSeconds }
}

function outOfSubnets(config: NetworkConfig, view: View): StoreError {
  const ranges = [config.ipv4, config.ipv6]
    .filter((range) => range !== undefined)
    .map(({ min, max, subnetLength }) => `${min} to ${max} in steps of /${subnetLength}`)
  return new StoreError(
    'full',
    `out of subnets: the ${view.taken.length} leases in the store leave none free from ${ranges.join(', or from ')}; enlarge Network, lengthen SubnetLen, or delete leases of hosts that are gone`,
  )
}
