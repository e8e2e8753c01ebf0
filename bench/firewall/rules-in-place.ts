// Flannel's rules in a host's kernel by each applier, heddle's and upstream's alike: whether they are there, and how
// somebody takes them away. Asked of the kernel without a process, so that looking costs next to nothing.
import { ignoreMissing } from '../../src/netlink/error.ts'
import { NFT_MSG, nftMessage } from '../../src/netlink/nftables/header.ts'
import { findTable } from '../../src/netlink/nftables/read.ts'
import { dropTable } from '../../src/netlink/nftables/transaction.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { NLM_F } from '../../src/netlink/wire.ts'
import { LegacyTables } from '../../src/xtables/legacy.ts'
import type { Host } from '../../test/support/segment.ts'

export const APPLIERS = ['nftables', 'iptables-nft', 'iptables-legacy'] as const
export type Applier = (typeof APPLIERS)[number]

export interface Rules extends Disposable {
  /** All chains of `--ip-masq` and `--iptables-forward-rules`, with rules in them, and what leads to them. */
  readonly arePresent: boolean
  takeAway(): Promise<void>
}

export function rulesOf(applier: Applier, host: Host): Rules {
  switch (applier) {
    case 'nftables':
      return new NftTable(host)
    case 'iptables-nft':
      return new NftChains(host)
    case 'iptables-legacy':
      return new LegacyChains(host)
    default:
      return applier satisfies never
  }
}

const TABLE = { family: 'ipv4', name: 'flannel-ipv4' } as const
const CHAINS = ['postrtg', 'forward'] as const

class NftTable implements Rules {
  readonly #socket: NetlinkSocket

  constructor(host: Host) {
    this.#socket = NetlinkSocket.open('netfilter', host.namespace)
  }
  get arePresent(): boolean {
    const chains = findTable(this.#socket, TABLE)?.chains ?? []
    return CHAINS.every((name) => chains.some((chain) => chain.name === name && chain.rules.length > 0))
  }
  async takeAway(): Promise<void> {
    dropTable(this.#socket, TABLE)
  }
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}

const OWN = [
  { table: 'nat', from: 'POSTROUTING', chain: 'FLANNEL-POSTRTG' },
  { table: 'filter', from: 'FORWARD', chain: 'FLANNEL-FWD' },
] as const
/** Empties both tables; by `iptables -F` it would be two processes. */
const EMPTY = OWN.map(({ table }) => `*${table}\nCOMMIT\n`).join('')
const emptied = async (host: Host, tool: string): Promise<void> => {
  await host.sh(`printf '${EMPTY.replaceAll('\n', String.raw`\n`)}' | ${tool}-restore`)
}

const NFTA_RULE = { table: 1, chain: 2 } as const

class NftChains implements Rules {
  readonly #host: Host
  readonly #socket: NetlinkSocket

  constructor(host: Host) {
    this.#host = host
    this.#socket = NetlinkSocket.open('netfilter', host.namespace)
  }
  get arePresent(): boolean {
    return OWN.every(
      ({ table, from, chain }) => this.#count(table, chain) > 0 && this.#count(table, from) > 0,
    )
  }
  /** Of this chain alone: what kube-proxy has in the table isn't read. */
  #count(table: string, chain: string): number {
    const list = nftMessage(NFT_MSG.getRule, NLM_F.dump, 'ipv4', `list rules of ${chain}`, (w) =>
      w.attrText(NFTA_RULE.table, table).attrText(NFTA_RULE.chain, chain),
    )
    let count = 0
    ignoreMissing(() => (count = this.#socket.dump(list).length))
    return count
  }
  takeAway(): Promise<void> {
    return emptied(this.#host, 'iptables-nft')
  }
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}

class LegacyChains implements Rules {
  readonly #host: Host
  readonly #tables: LegacyTables

  constructor(host: Host) {
    this.#host = host
    this.#tables = new LegacyTables(host.namespace)
  }
  /** The last of a chain is its policy or return. */
  get arePresent(): boolean {
    return OWN.every(({ table, from, chain }) => {
      const entries = this.#tables.read('ipv4', table)
      return [from, chain].every((name) => (entries?.rules(name).length ?? 0) > 1)
    })
  }
  takeAway(): Promise<void> {
    return emptied(this.#host, 'iptables-legacy')
  }
  [Symbol.dispose](): void {
    this.#tables[Symbol.dispose]()
  }
}
