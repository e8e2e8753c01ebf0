// nf_tables tables, whole ones: read by name, replaced in one transaction, looked at again after transactions of others.
import { setTimeout } from 'node:timers/promises'
import type { NftTable } from '../../model/kernel.ts'
import { NetlinkError } from '../../netlink/error.ts'
import type { Monitor } from '../../netlink/monitor.ts'
import { generation, openGenerations } from '../../netlink/nftables/generations.ts'
import { readTable } from '../../netlink/nftables/read.ts'
import type { TableName } from '../../netlink/nftables/table.ts'
import { dropTable, replaceTable } from '../../netlink/nftables/transaction.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { done, failed, type Carrier, type Change, type Hint, type Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { nftTableKind } from '../kinds/nft-table.ts'

/** After a look at our tables, transactions of others wait this long for the next: ten looks a second at most. */
const QUIET_MS = 100

export class NftTables implements Carrier<NftTable>, Disposable {
  readonly #names: readonly TableName[]
  readonly #socket: NetlinkSocket
  readonly #generations: Monitor
  #hasLooked = false

  /** For the tables of these names only; what others are there doesn't matter and isn't read. */
  constructor(names: readonly TableName[], namespace?: Namespace) {
    this.#names = names
    this.#generations = openGenerations(namespace)
    this.#socket = NetlinkSocket.open('netfilter', namespace)
  }

  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly NftTable[]> {
    if (witness !== undefined) {
      const before = generation(this.#socket)
      witness.add(() => generation(this.#socket) === before)
    }
    return this.#names.map((name) => readTable(this.#socket, name)).filter((table) => table !== undefined)
  }

  async apply(changes: readonly Change<NftTable>[]): Promise<readonly Result[]> {
    return changes.map((change) => {
      try {
        if (change.op === 'put') replaceTable(this.#socket, change.want)
        else dropTable(this.#socket, change.have)
        return done
      } catch (error) {
        if (error instanceof NetlinkError) return failed(error.message)
        throw error
      }
    })
  }

  attend(): void {
    // Tables are on no link.
  }

  async ready(signal: AbortSignal): Promise<boolean> {
    if (this.#hasLooked && !(await quiet(signal))) return false
    return this.#generations.ready(signal)
  }

  /** A generation number doesn't tell what changed: it is read when it is asked for. */
  heard(): readonly Hint<NftTable>[] {
    if (this.#generations.take().length === 0) return []
    this.#hasLooked = true
    return this.#look()
  }

  #look(): Hint<NftTable>[] {
    return this.#names.map((name) => {
      const key = nftTableKind.key({ kind: 'nft-table', ...name, chains: [] })
      try {
        return { kind: 'seen', key, have: readTable(this.#socket, name) }
      } catch (error) {
        return { kind: 'everything', reason: String(error) }
      }
    })
  }

  [Symbol.dispose](): void {
    this.#generations[Symbol.dispose]()
    this.#socket[Symbol.dispose]()
  }
}

/** False once the signal has ended it. */
async function quiet(signal: AbortSignal): Promise<boolean> {
  try {
    await setTimeout(QUIET_MS, undefined, { signal })
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
