// Two hosts of a segment with a router between them, whose MTU is set for each direction by itself, and which may keep
// quiet about what it drops: `await using narrows = await Narrows.create()`.
import { Segment, type Host } from './segment.ts'

const FAMILIES = ['ipv4', 'ipv6'] as const
const addressAt = (host: Host, family: 'ipv4' | 'ipv6'): string =>
  family === 'ipv4' ? `${host.ip}/32` : `${host.ipv6}/128`

export class Narrows implements AsyncDisposable {
  readonly segment: Segment

  private constructor(segment: Segment) {
    this.segment = segment
  }

  /**
   * The switch of the segment is the router. Fragments of outer packets never arrive, as behind many firewalls: what is
   * too large for the router is lost, whether it may be taken apart or not.
   */
  static async create(): Promise<Narrows> {
    const segment = await Segment.create(2, 'dual')
    const narrows = new Narrows(segment)
    const { switch: router } = segment
    await router.sh(`
      echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
      for each in all default br0; do echo 0 > /proc/sys/net/ipv4/conf/$each/send_redirects; done
    `)
    for (const [from, to] of [
      [1, 2],
      [2, 1],
    ] as const)
      await segment.host(from).sh(`
        ip route add ${segment.host(to).ip}/32 via 192.168.100.254
        ip -6 route add ${segment.host(to).ipv6}/128 via fd00:100::fe dev eth0
        nft 'add table ip fragments; add chain ip fragments in { type filter hook prerouting priority -450; }
             add rule ip fragments in iifname eth0 ip frag-off & 0x3fff != 0 drop'
      `)
    return narrows
  }

  get first(): Host {
    return this.segment.host(1)
  }
  get second(): Host {
    return this.segment.host(2)
  }

  /** What the router takes to host `to`, or to both. */
  async mtu(bytes: number, to: readonly (1 | 2)[] = [1, 2]): Promise<void> {
    const routes = to.flatMap((number) =>
      FAMILIES.map(
        (family) =>
          `ip route replace ${addressAt(this.segment.host(number), family)} dev br0 mtu lock ${bytes}`,
      ),
    )
    await this.segment.switch.sh(routes.join('\n'))
  }

  /** From now on the router drops without a word. */
  async silence(): Promise<void> {
    await this.segment.switch.sh(
      `nft 'add table inet quiet; add chain inet quiet out { type filter hook output priority 0; }
            add rule inet quiet out icmp type destination-unreachable drop
            add rule inet quiet out icmpv6 type packet-too-big drop'`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.segment[Symbol.asyncDispose]()
  }
}
