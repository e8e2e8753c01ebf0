// What changed in a namespace's kernel tables over a stretch of time, from any process: every rtnetlink and
// nf_tables notification. The socket only collects; it is read when asked, so nothing runs meanwhile.
import { close, MSG, recvfrom, setsockoptInt } from '../../src/sys/libc.ts'
import { allocate } from '../../src/sys/arena.ts'
import { NETLINK_ADD_MEMBERSHIP, openNetlink, SOL_NETLINK, type Protocol } from '../../src/netlink/open.ts'
import { splitMessages } from '../../src/netlink/reply.ts'
import type { Reply } from '../../src/netlink/wire.ts'
import type { TestHost } from './kernel.ts'

/** linux/rtnetlink.h: link, neigh, IPv4 addr, IPv4 route, IPv4 rule, IPv6 addr, IPv6 route, IPv6 rule, nexthop. */
const ROUTE_GROUPS = [1, 3, 5, 7, 8, 9, 11, 19, 32]
/** linux/netfilter/nfnetlink.h: NFNLGRP_NFTABLES. */
const NFTABLES_GROUPS = [7]
const RTM: Readonly<Record<number, string>> = {
  16: 'newlink',
  17: 'dellink',
  20: 'newaddr',
  21: 'deladdr',
  24: 'newroute',
  25: 'delroute',
  28: 'newneigh',
  29: 'delneigh',
  32: 'newrule',
  33: 'delrule',
  104: 'newnexthop',
  105: 'delnexthop',
}
const NUD_PERMANENT = 0x80
/** Where struct ndmsg (linux/neighbour.h) tells a type, and that of a group's address (linux/rtnetlink.h). */
const NDM_TYPE = 11
const RTN_MULTICAST = 5
const AF_BRIDGE = 7

/** Collects the notifications of some groups in the socket's buffer (32 MiB) until they are taken. */
export class Recorder implements Disposable {
  readonly #fd: number
  readonly #block = allocate(1 << 16)

  constructor(host: TestHost, protocol: Protocol, groups: readonly number[]) {
    this.#fd = openNetlink(protocol, host.namespace, 32 << 20)
    for (const group of groups) setsockoptInt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
  }

  /** What came since the last call; never waits. The bodies are valid until the next one. Throws ENOBUFS on an overrun. */
  *take(): Generator<Reply> {
    for (;;) {
      const length = recvfrom(this.#fd, this.#block.address, 1 << 16, MSG.dontWait)
      if (length === undefined) return
      yield* splitMessages(this.#block.bytes.subarray(0, length))
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd)
    this.#block[Symbol.dispose]()
  }
}

export class Changes implements Disposable {
  readonly #host: TestHost
  readonly #route: Recorder
  readonly #nftables: Recorder

  constructor(host: TestHost) {
    this.#host = host
    this.#route = new Recorder(host, 'route', ROUTE_GROUPS)
    this.#nftables = new Recorder(host, 'netfilter', NFTABLES_GROUPS)
  }

  /**
   * Every change since the last call, in words such as `newroute`, `newlink eth0` or `nft 0xa06`. Left out is what the kernel does
   * by itself all the time: multicast neighbours; and on links that aren't flannel's resolving and learning neighbours, the
   * state of bridge ports.
   */
  async take(): Promise<string[]> {
    const links = new Map(
      (await this.#host.ipJson('link')).map((link) => [Number(link['ifindex']), String(link['ifname'])]),
    )
    return [
      ...this.#route
        .take()
        .map((reply) => routeChange(reply, links))
        .filter((word) => word !== undefined),
      ...this.#nftables.take().map((reply) => `nft 0x${reply.type.toString(16)}`),
    ]
  }

  /** Waits until nothing has changed for a while, and forgets all before. The kernel tells of carriers once a second. */
  async quiet(seconds = 1.1): Promise<void> {
    for (let tries = 0; tries < 20; tries++) {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
      if ((await this.take()).length === 0) return
    }
    throw new Error('the kernel tables never came to rest')
  }

  [Symbol.dispose](): void {
    this.#route[Symbol.dispose]()
    this.#nftables[Symbol.dispose]()
  }
}

function routeChange({ type, body }: Reply, links: ReadonlyMap<number, string>): string | undefined {
  const name = RTM[type] ?? `message ${type}`
  const ofLink = name.endsWith('link') || name.endsWith('addr') || name.endsWith('neigh')
  if (!ofLink) return name
  const view = new DataView(body.buffer, body.byteOffset)
  const link = links.get(view.getInt32(4, true)) ?? 'a link that is gone'
  // IPv6 enters the groups that it reports to, and forgets them after a minute, on our devices too.
  if (name.endsWith('neigh') && body[NDM_TYPE] === RTN_MULTICAST) return undefined
  const passing = name.endsWith('neigh') && (view.getUint16(8, true) & NUD_PERMANENT) === 0
  const ofPort = name.endsWith('link') && body[0] === AF_BRIDGE
  return (passing || ofPort) && !link.startsWith('flannel') ? undefined : `${name} ${link}`
}
