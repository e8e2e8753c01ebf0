// etcd's own leases: what gives a key an end (etcdserverpb Lease). Not to be confused with a host's lease.
import type { Channel } from './channel.ts'
import { isLeaseGone } from './error.ts'
import { leaseGrant, leaseKeepAlive } from './methods.ts'

export interface Granted {
  readonly id: bigint
  /** etcd may grant a longer life than asked for. */
  readonly ttlSeconds: number
}

export async function grant(channel: Channel, ttlSeconds: number, signal: AbortSignal): Promise<Granted> {
  const answer = await channel.unary(leaseGrant, { TTL: BigInt(ttlSeconds) }, signal)
  return { id: answer.ID, ttlSeconds: Number(answer.TTL) }
}

/** Starts the lease's life anew; the length of that life in seconds, or undefined if the lease is gone. */
export async function keepAlive(
  channel: Channel,
  id: bigint,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    const answer = await channel.unary(leaseKeepAlive, { ID: id }, signal)
    return answer.TTL > 0n ? Number(answer.TTL) : undefined
  } catch (error) {
    if (isLeaseGone(error)) return undefined
    throw error
  }
}
