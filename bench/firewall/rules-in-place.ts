// Flannel's rules in a host's kernel by each applier, heddle's and upstream's alike: whether they are there, and how
// somebody takes them away.
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { findTable } from '../../src/netlink/nftables/read.ts'
import { dropTable } from '../../src/netlink/nftables/transaction.ts'
import type { Host } from '../../test/support/segment.ts'

/** What both makes call it, with the chains of `--ip-masq` and `--iptables-forward-rules`. */
const TABLE = { family: 'ipv4', name: 'flannel-ipv4' } as const
const CHAINS = ['postrtg', 'forward'] as const

/** Asked by netlink, so that looking costs next to nothing. */
export class NftRules implements Disposable {
  readonly #socket: NetlinkSocket

  constructor(host: Host) {
    this.#socket = NetlinkSocket.open('netfilter', host.namespace)
  }

  /** All chains with rules in them. */
  get arePresent(): boolean {
    const chains = findTable(this.#socket, TABLE)?.chains ?? []
    return CHAINS.every((name) => chains.some((chain) => chain.name === name && chain.rules.length > 0))
  }

  takeAway(): void {
    dropTable(this.#socket, TABLE)
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}
