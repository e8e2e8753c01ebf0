// Two hosts of a segment with a router between them, whose MTU is set for each direction by itself, and which may keep
// quiet about what it drops: `await using narrows = await Narrows.create()`.
import { VXLAN_OVERHEAD_BYTES } from '../../src/model/vxlan.ts'
import type { Family } from '../../src/model/ip.ts'
import { eventually } from './process.ts'
import { Segment, type Host } from './segment.ts'
import { prefix } from './values.ts'

const FAMILIES = ['ipv4', 'ipv6'] as const
export const DEVICE = { ipv4: 'flannel.1', ipv6: 'flannel-v6.1' } as const
export const macOf = (n: number, family: Family) => `02:00:00:00:${family === 'ipv4' ? '04' : '06'}:0${n}`
export const vtepOf = (n: number, family: Family) => (family === 'ipv4' ? `10.244.${n}.0` : `fd44:0:0:${n}::`)
export const subnetOf = (n: number, family: Family) =>
  prefix(`${vtepOf(n, family)}/${family === 'ipv4' ? 24 : 64}`)
export const underlayOf = (host: Host, family: Family) => (family === 'ipv4' ? host.ip : host.ipv6)
const addressAt = (host: Host, family: Family): string =>
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

  /** Host `n`'s tunnel to the other one, as `ip` makes it: upstream's is the same. */
  async tunnel(n: 1 | 2, family: Family): Promise<void> {
    const far = n === 1 ? 2 : 1
    const [host, other] = [this.segment.host(n), this.segment.host(far)]
    const [device, six, bits, nodad] =
      family === 'ipv4' ? [DEVICE.ipv4, '', 32, ''] : [DEVICE.ipv6, '-6', 128, 'nodad']
    await host.sh(`
      ip link add ${device} address ${macOf(n, family)} mtu ${1500 - VXLAN_OVERHEAD_BYTES[family]} type vxlan id 1 local ${underlayOf(host, family)} dev eth0 dstport 8472 nolearning
      ip ${six} addr add ${vtepOf(n, family)}/${bits} dev ${device} ${nodad}
      ip link set ${device} up
      ip ${six} neigh add ${vtepOf(far, family)} lladdr ${macOf(far, family)} dev ${device} nud permanent
      bridge fdb append ${macOf(far, family)} dev ${device} dst ${underlayOf(other, family)}
      ip ${six} route add ${subnetOf(far, family)} via ${vtepOf(far, family)} dev ${device} onlink
    `)
  }

  /** Returns once packets come through, when neighbours have been found out. */
  async carried(): Promise<void> {
    const ask = `ping -c1 -W1 ${vtepOf(2, 'ipv4')} && ping -c1 -W1 ${vtepOf(2, 'ipv6')}`
    const answers = () =>
      this.first.sh(ask).then(
        () => true,
        () => undefined,
      )
    await eventually('the tunnels carry', answers, 20)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.segment[Symbol.asyncDispose]()
  }
}
