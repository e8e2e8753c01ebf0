// What changed in a namespace's kernel tables over a stretch of time, from any process: every rtnetlink and
// nf_tables notification. The socket only collects; it is read when asked, so nothing runs meanwhile.
import { setsockoptInt, recvfrom, close } from '../../src/sys/libc.ts'
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

export class Changes implements Disposable {
  readonly #host: TestHost
  readonly #sockets: readonly { fd: number; protocol: Protocol }[]

  constructor(host: TestHost) {
    this.#host = host
    const join = (protocol: Protocol, groups: readonly number[]) => {
      const fd = openNetlink(protocol, host.namespace, 32 << 20)
      for (const group of groups) setsockoptInt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
      return { fd, protocol }
    }
    this.#sockets = [join('route', ROUTE_GROUPS), join('netfilter', NFTABLES_GROUPS)]
  }

  /**
   * Every change since the last call, as words such as `newroute` or `nft 0xa06`. Left out is what the kernel does
   * by itself all the time: resolving and learning neighbours on links that aren't flannel's.
   */
  async take(): Promise<string[]> {
    const links = new Map(
      (await this.#host.ipJson('link')).map((link) => [Number(link['ifindex']), String(link['ifname'])]),
    )
    const changes: string[] = []
    using block = allocate(1 << 16)
    for (const { fd, protocol } of this.#sockets)
      for (;;) {
        const length = recvfrom(fd, block.address, 1 << 16, 0x40)
        if (length === undefined) break
        for (const reply of splitMessages(block.bytes.subarray(0, length))) {
          const change = protocol === 'route' ? routeChange(reply, links) : `nft 0x${reply.type.toString(16)}`
          if (change !== undefined) changes.push(change)
        }
      }
    return changes
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#sockets) close(fd)
  }
}

function routeChange({ type, body }: Reply, links: ReadonlyMap<number, string>): string | undefined {
  const name = RTM[type] ?? `message ${type}`
  if (!name.endsWith('neigh')) return name
  const view = new DataView(body.buffer, body.byteOffset)
  const link = links.get(view.getInt32(4, true)) ?? 'a link that is gone'
  const permanent = (view.getUint16(8, true) & NUD_PERMANENT) !== 0
  return permanent || link.startsWith('flannel') ? `${name} on ${link}` : undefined
}
