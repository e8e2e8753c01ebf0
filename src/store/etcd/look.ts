// All leases as they are at one moment, read and parsed once: for who acquires one, and then for who follows them from
// there. At a start that is the same list of thousands.
import type { Lease } from '../../model/lease.ts'
import type { Client } from './client.ts'
import { list, type Listed } from './follow.ts'

export interface Look extends Listed {
  /** Of each of `keys`, in their order: the lease, or why it is none. */
  readonly leases: readonly (Lease | string)[]
}

/** A start takes a fraction of this from acquiring to following. What is older is no use, and is forgotten. */
const FRESH_MS = 5_000

/** Keeps the last look until it is taken, for a moment. */
export class LastLook {
  #look: Look | undefined
  #timer: NodeJS.Timeout | undefined

  keep(look: Look): void {
    this.take()
    this.#look = look
    this.#timer = setTimeout(() => this.take(), FRESH_MS)
    this.#timer.unref()
  }

  take(): Look | undefined {
    clearTimeout(this.#timer)
    const look = this.#look
    this.#look = undefined
    return look
  }
}

/** Asks the store. Throws StoreError. */
export async function look(client: Client, signal: AbortSignal): Promise<Look> {
  const { channel, history, keys } = client
  const listed = await list(channel, history, keys.leases, signal)
  const seen = { ...listed, leases: listed.keys.map((kv) => keys.leaseOf(kv)) }
  client.lastLook.keep(seen)
  return seen
}
