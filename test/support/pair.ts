// Two hosts on one wire, each with a subnet of both families behind it, and traffic between them: for tests of what the
// data plane changes under way. `await using pair = await Pair.create()`.
import { setTimeout } from 'node:timers/promises'
import type { Ownership } from '../../src/dataplane/kind.ts'
import {
  address,
  fdbEntry,
  type KernelObject,
  link,
  type Link,
  neighbour,
  nexthop,
  route,
} from '../../src/model/kernel.ts'
import { DataplaneHost } from './dataplane.ts'
import { kernel } from './kernel.ts'
import { Traffic } from './traffic.ts'
import { ip, mac, prefix } from './values.ts'

const FAMILIES = ['ipv4', 'ipv6'] as const
type Family = (typeof FAMILIES)[number]

/** How the other host is reached: through its VTEP or directly, by routes of their own or through nexthop objects. */
export interface Way {
  readonly by: 'tunnel' | 'direct'
  readonly through: 'plain' | 'nexthop'
}

export const DEVICES = { ipv4: 'flannel.1', ipv6: 'flannel-v6.1' } as const
export const PAIR_SCOPE: Ownership = {
  links: new Set(Object.values(DEVICES)),
  networks: [prefix('10.244.0.0/16'), prefix('fd00:244::/32')],
  tables: new Set(),
}

const underlayIp = { ipv4: (n: number) => ip(`192.168.0.${n}`), ipv6: (n: number) => ip(`fd00:9::${n}`) }
const base = { ipv4: (n: number) => ip(`10.244.${n}.0`), ipv6: (n: number) => ip(`fd00:244:0:${n}::`) }
/** An address behind host `n`. */
const inside = { ipv4: (n: number) => `10.244.${n}.9`, ipv6: (n: number) => `fd00:244:0:${n}::9` }
const bits = { ipv4: 32, ipv6: 128 }
const subnetBits = { ipv4: 24, ipv6: 64 }
const vtep = (n: number, family: Family) => mac(`02:00:00:00:${family === 'ipv4' ? '04' : '06'}:0${n}`)

/** The near host's address for its pod. */
const gateway = { ipv4: '10.244.1.1', ipv6: 'fd00:244:0:1::1' }
/** Commands that give a link an address of each family, in a subnet as long as the hosts'. */
const addressed = (dev: string, ipOf: (family: Family) => string): string =>
  FAMILIES.map((family) => `ip addr add ${ipOf(family)}/${subnetBits[family]} dev ${dev}`).join('; ')
const underlay = (n: number): string =>
  `${addressed('eth0', (family) => underlayIp[family](n))}; ip link set eth0 up`

/** The devices of host `n`, and their addresses; `underlay`: its interface. */
export function devices(n: number, underlay = 'eth0', changes: Partial<Link> = {}): readonly KernelObject[] {
  return FAMILIES.flatMap((family) => [
    link({
      name: DEVICES[family],
      mac: vtep(n, family),
      mtuBytes: 1400,
      vxlan: { vni: 1, port: 8472, local: underlayIp[family](n), underlay, learning: false, gbp: false },
      ...changes,
    }),
    address({ link: DEVICES[family], ip: base[family](n), length: bits[family] }),
  ])
}

/** What reaches host `n`. */
export function way(n: number, { by, through }: Way, underlay = 'eth0'): readonly KernelObject[] {
  return FAMILIES.flatMap((family): KernelObject[] => {
    const to = prefix(`${base[family](n)}/${subnetBits[family]}`)
    const isDirect = by === 'direct'
    const hop = {
      via: isDirect ? underlayIp[family](n) : base[family](n),
      link: isDirect ? underlay : DEVICES[family],
      onLink: !isDirect,
    }
    const on = { link: DEVICES[family], mac: vtep(n, family) }
    return [
      ...(isDirect
        ? []
        : [neighbour({ ...on, ip: base[family](n) }), fdbEntry({ ...on, dst: underlayIp[family](n) })]),
      ...(through === 'nexthop' ? [nexthop(hop)] : []),
      route({ to, ...hop, through }),
    ]
  })
}

/** Host `n`'s commands that make the devices as upstream flanneld does (flannel-compat 4.1.2 and 4.1.3). */
export const upstreamDevices = (n: number): string =>
  FAMILIES.map(
    (family) => `
      ip link add ${DEVICES[family]} address ${vtep(n, family)} mtu 1400 type vxlan id 1 dstport 8472 local ${underlayIp[family](n)} dev eth0 nolearning
      ip addr add ${base[family](n)}/${bits[family]} dev ${DEVICES[family]} ${family === 'ipv6' ? 'nodad' : ''}
      ip link set ${DEVICES[family]} up`,
  ).join('\n')

/** Commands that reach host `n` as upstream flanneld does (4.1.4); they do no harm where it is reached already. */
export const upstreamWay = (n: number, by: Way['by']): string =>
  FAMILIES.map((family) => {
    const to = `${base[family](n)}/${subnetBits[family]}`
    if (by === 'direct') return `ip route replace ${to} via ${underlayIp[family](n)}`
    const [device, hop] = [DEVICES[family], base[family](n)]
    return `
      ip neigh replace ${hop} lladdr ${vtep(n, family)} dev ${device} nud permanent
      bridge fdb replace ${vtep(n, family)} dev ${device} self dst ${underlayIp[family](n)}
      ip route replace ${to} via ${hop} dev ${device} onlink`
  }).join('\n')

export class Pair implements AsyncDisposable {
  readonly near: DataplaneHost
  readonly far: DataplaneHost
  /** Behind the near host, where the traffic comes from: what a host sends itself the kernel may drop as routes change. */
  readonly pod: DataplaneHost

  private constructor(near: DataplaneHost, far: DataplaneHost, pod: DataplaneHost) {
    this.near = near
    this.far = far
    this.pod = pod
  }

  /** Host 1 is near, host 2 far. Both underlays are up; the far one is set up for both ways. */
  static async create(): Promise<Pair> {
    const pair = new Pair(...(await Promise.all([bare(), bare(), bare()])))
    await pair.near.sh(`ip link add eth0 type veth peer name eth0 netns ${pair.far.namespace.path}`)
    await pair.near.sh(`ip link add pod type veth peer name eth0 netns ${pair.pod.namespace.path}`)
    await pair.near.sh(`${underlay(1)}; ip link set pod up; ${addressed('pod', (family) => gateway[family])}`)
    await pair.far.sh(`${underlay(2)}; ${addressed('lo', (family) => inside[family](2))}`)
    await pair.pod.sh(`
      ip link set eth0 up; ${addressed('eth0', (family) => inside[family](1))}
      ip route add default via ${gateway.ipv4}; ip -6 route add default via ${gateway.ipv6}`)
    // The kernel finds out a little later that both ends are up.
    const links = [pair.near, pair.far, pair.pod].map((host) => () => host.link('eth0'))
    for (const link of [...links, () => pair.near.link('pod')])
      while (link().operState !== IF_OPER_UP) await setTimeout(1)
    await pair.far.sh(`${upstreamDevices(2)}\n${upstreamWay(1, 'tunnel')}`)
    return pair
  }

  /** How many packets of both families got lost while `act` ran, at 200 a second each. */
  async lossDuring(act: () => Promise<unknown>): Promise<Readonly<Record<Family, number>>> {
    const streams = await Promise.all(
      FAMILIES.map((family) => Traffic.start(this.pod.namespace, inside[family](2), 0.005)),
    )
    try {
      await act()
      const counts = await Promise.all(streams.map((stream) => stream.stop()))
      return { ipv4: counts[0]?.lost ?? NaN, ipv6: counts[1]?.lost ?? NaN }
    } finally {
      for (const stream of streams) await stream[Symbol.asyncDispose]()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pod[Symbol.asyncDispose]()
    await this.near[Symbol.asyncDispose]()
    await this.far[Symbol.asyncDispose]()
  }
}
/** What `lossDuring` is to be. */
export const NOTHING = { ipv4: 0, ipv6: 0 } as const
const IF_OPER_UP = 6

async function bare(): Promise<DataplaneHost> {
  const { namespace } = await kernel()
  const host = new DataplaneHost(namespace)
  await host.sh(`
    for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done
    echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; echo 1 > /proc/sys/net/ipv4/ip_forward`)
  return host
}
