// Gives this host's leases back: for a host that leaves the network for good. Nothing else ever does.
import type { Lease } from '../../model/lease.ts'
import { clusterName } from './acquire.ts'
import type { Client } from './client.ts'
import { read, remove, transact, unchanged, type KeyValue } from './kv.ts'

export interface Releasable {
  /** As the store has it. */
  readonly key: string
  readonly lease: Lease
  /** Without an end, and somebody's own doing: an operator's. */
  readonly isReservation: boolean
  /** Deletes the key as it was seen; false if it has changed since. */
  release(signal: AbortSignal): Promise<boolean>
}

/** The leases that are ours. One question, not asked again. Throws StoreError, or the signal's reason. */
export async function releasable(
  client: Client,
  owns: (lease: Lease, cluster: string) => boolean,
  signal: AbortSignal,
): Promise<Releasable[]> {
  const { keys, at } = await read(client.channel, client.keys.leases, signal)
  const cluster = clusterName(at.clusterId)
  return keys.flatMap((kv) => {
    const lease = client.keys.leaseOf(kv)
    return typeof lease === 'string' || !owns(lease, cluster) ? [] : [found(client, kv, lease)]
  })
}

const found = (client: Client, kv: KeyValue, lease: Lease): Releasable => ({
  key: kv.key,
  lease,
  isReservation: kv.lease === 0n,
  async release(signal) {
    const { done } = await transact(
      client.channel,
      [unchanged(kv.key, kv.modRevision)],
      [remove(kv.key)],
      signal,
    )
    return done
  },
})
