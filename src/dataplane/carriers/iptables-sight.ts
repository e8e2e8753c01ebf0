// Looks at chains of ours in iptables' tables without a process: by netlink where they are in nf_tables, by getsockopt
// where they are legacy ones. What changed is for iptables-save to tell; this tells that something has.
import { ignoreMissing, isRefused } from '../../netlink/error.ts'
import type { Monitor } from '../../netlink/monitor.ts'
import { chainImprint } from '../../netlink/nftables/chain-imprint.ts'
import { openGenerations } from '../../netlink/nftables/generations.ts'
import { getChain, getTable } from '../../netlink/nftables/table.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { isSysError } from '../../sys/libc.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { legacyImprint, LegacyTables } from '../../xtables/legacy.ts'
import type { Place } from './iptables-place.ts'

interface Netfilter {
  readonly socket: NetlinkSocket
  readonly generations: Monitor
}

export class IptablesSight implements Disposable {
  readonly #legacy: LegacyTables
  /** Undefined where the kernel has no nf_tables. */
  readonly #netfilter: Netfilter | undefined

  constructor(namespace?: Namespace) {
    this.#legacy = new LegacyTables(namespace)
    this.#netfilter = openNetfilter(namespace)
  }

  /** Another one after each change that may matter to the chain; undefined where it isn't there. */
  imprint({ flavour, family, table, name, from }: Place): bigint | undefined {
    if (flavour === 'legacy') return legacyImprint(this.#legacy.read(family, table), name, from)
    return this.#ask((socket) => chainImprint(socket, { family, name: table }, name, from))
  }

  /** Whether there is such a table: iptables makes those that are missing, and a legacy one also by being asked. */
  hasTable({ flavour, family, table }: Pick<Place, 'flavour' | 'family' | 'table'>): boolean {
    if (flavour === 'legacy') return this.#legacy.names(family).has(table)
    const has = this.#ask((socket) =>
      ignoreMissing(() => void socket.request(getTable({ family, name: table }))),
    )
    return has ?? false
  }

  /** Whether an nf_tables table has such a chain. */
  hasChain({ family, table }: Pick<Place, 'family' | 'table'>, name: string): boolean {
    const has = this.#ask((socket) =>
      ignoreMissing(() => void socket.request(getChain({ family, name: table }, name))),
    )
    return has ?? false
  }

  #ask<T>(ask: (socket: NetlinkSocket) => T): T | undefined {
    if (this.#netfilter === undefined) return undefined
    try {
      return ask(this.#netfilter.socket)
    } catch (error) {
      // A kernel without this family in nf_tables.
      if (isRefused(error, 'EOPNOTSUPP', 'EAFNOSUPPORT', 'EPROTONOSUPPORT', 'EINVAL')) return undefined
      throw error
    }
  }

  /** True once something in nf_tables has changed; false when the signal has ended it. Of legacy tables nobody hears. */
  async nftablesChanged(signal: AbortSignal): Promise<boolean> {
    if (this.#netfilter !== undefined) return this.#netfilter.generations.ready(signal)
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    return false
  }

  /** Whether something in nf_tables has changed since the last call. */
  takeNftablesChange(): boolean {
    return (this.#netfilter?.generations.take().length ?? 0) > 0
  }

  [Symbol.dispose](): void {
    this.#netfilter?.generations[Symbol.dispose]()
    this.#netfilter?.socket[Symbol.dispose]()
    this.#legacy[Symbol.dispose]()
  }
}

function openNetfilter(namespace: Namespace | undefined): Netfilter | undefined {
  using resources = new DisposableStack()
  try {
    const generations = resources.use(openGenerations(namespace))
    const socket = resources.use(NetlinkSocket.open('netfilter', namespace))
    resources.move()
    return { socket, generations }
  } catch (error) {
    if (isSysError(error, 'EPROTONOSUPPORT')) return undefined
    throw error
  }
}
