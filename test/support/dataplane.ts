// A host for tests of the data plane: an underlay link in a fresh namespace, reconcilers on it, an ear on all that
// changes in its kernel.
import { execFileSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { type DataplaneOptions, openDataplane } from '../../src/dataplane/open.ts'
import type { Ownership } from '../../src/dataplane/kind.ts'
import type { Reconciler } from '../../src/dataplane/reconciler.ts'
import {
  address,
  fdbEntry,
  type KernelObject,
  link,
  type Link,
  neighbour,
  nexthop,
  route,
  type VxlanOptions,
} from '../../src/model/kernel.ts'
import { RTM_ADDRESS } from '../../src/netlink/address.ts'
import { RTM_LINK } from '../../src/netlink/link.ts'
import { GROUP, Monitor } from '../../src/netlink/monitor.ts'
import { RTM_NEIGHBOUR } from '../../src/netlink/neighbour.ts'
import { RTM_NEXTHOP } from '../../src/netlink/nexthop.ts'
import { RTM_ROUTE } from '../../src/netlink/route.ts'
import { kernel, TestHost } from './kernel.ts'
import { ip, mac, prefix } from './values.ts'

export const UNDERLAY_IP = ip('192.168.0.1')
export const OWN_MAC = mac('02:00:00:00:00:01')

/** The device of these tests; `changes` to what it usually is. */
export const device = (
  changes: Partial<Omit<Link, 'vxlan'>> & { vxlan?: Partial<VxlanOptions> } = {},
): Link =>
  link({
    name: 'flannel.1',
    mac: OWN_MAC,
    mtuBytes: 1450,
    ...changes,
    vxlan: {
      vni: 1,
      port: 8472,
      local: UNDERLAY_IP,
      underlay: 'eth0',
      learning: false,
      gbp: false,
      ...changes.vxlan,
    },
  })

export const ownObjects = (l: Link = device()): readonly KernelObject[] => [
  l,
  address({ link: l.name, ip: ip('10.1.0.0'), length: 32 }),
]

/** What reaches the `n`-th peer (1 to 60,000) by VXLAN: subnet 10.x.y.0/24 behind 192.168.x.y. */
export function peer(
  n: number,
  options: { mac?: string; dst?: string; through?: 'nexthop' | 'plain' } = {},
): readonly KernelObject[] {
  const [high, low] = [n >> 8, n & 255]
  const base = ip(`10.${2 + high}.${low}.0`)
  const hex = (value: number) => value.toString(16).padStart(2, '0')
  const vtep = mac(options.mac ?? `02:01:00:00:${hex(high)}:${hex(low)}`)
  const through = options.through ?? 'nexthop'
  const on = { link: 'flannel.1' }
  return [
    neighbour({ ...on, ip: base, mac: vtep }),
    fdbEntry({ ...on, mac: vtep, dst: ip(options.dst ?? `192.168.${1 + high}.${low}`) }),
    ...(through === 'nexthop' ? [nexthop({ ...on, via: base, onLink: true })] : []),
    route({ ...on, to: prefix(`${base}/24`), via: base, onLink: true, through }),
  ]
}

/** A route as host-gw has it. */
export const direct = (n: number) =>
  route({
    to: prefix(`10.3.${n}.0/24`),
    via: ip(`192.168.2.${n}`),
    link: 'eth0',
    onLink: false,
    through: 'plain',
  })

/** Repairs so far, of the kinds that had some. */
export const repairsOf = (reconciler: Reconciler) =>
  Object.fromEntries(
    Object.entries(reconciler.report().kinds)
      .map(([kind, { repairs }]) => [kind, repairs] as const)
      .filter(([, repairs]) => repairs > 0),
  )

export const SCOPE: Ownership = {
  links: new Set(['flannel.1']),
  networks: [prefix('10.0.0.0/8')],
  tables: new Set(),
}

export const soon = (): AbortSignal => AbortSignal.timeout(20_000)

export class DataplaneHost extends TestHost {
  reconciler(options: DataplaneOptions & { scope?: Ownership } = {}): Reconciler {
    return openDataplane(options.scope ?? SCOPE, { namespace: this.namespace, ...options })
  }

  /** One that has put the device and the first peer, and knows that this is all. */
  async settled(options: DataplaneOptions & { scope?: Ownership } = {}): Promise<Reconciler> {
    const reconciler = this.reconciler(options)
    reconciler.want('device', ownObjects())
    reconciler.want('lease', peer(1))
    reconciler.complete()
    await reconciler.settled(soon())
    return reconciler
  }

  /** Runs a shell command while this process stands still: no reconciler of ours gets in between. */
  shAtOnce(command: string): void {
    execFileSync('nsenter', [`--net=${this.namespace.path}`, 'sh', '-ec', command], { stdio: 'pipe' })
  }

  /** What the kernel announces from now on, as words: `put route`, `remove neighbour` …, in order. */
  changes(): Changes {
    const groups = [GROUP.link, GROUP.neighbour, GROUP.ipv4Address, GROUP.ipv4Route, GROUP.nexthop]
    return new Changes(Monitor.open(groups, { namespace: this.namespace, receiveBufferBytes: 64 << 20 }))
  }
}

/** With underlay link `eth0`, 192.168.0.1/16, whose other end `eth0-peer` is up. IPv6 is off, so the kernel is quiet. */
export async function dataplaneHost(): Promise<DataplaneHost> {
  const { namespace } = await kernel()
  const host = new DataplaneHost(namespace)
  await host.sh(
    `sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
     ip link add eth0 type veth peer name eth0-peer
     ip addr add ${UNDERLAY_IP}/16 dev eth0; ip link set eth0-peer up; ip link set eth0 up`,
  )
  // The kernel finds out a little later that both ends are up.
  while (!['eth0', 'eth0-peer'].every((name) => host.link(name).operState === IF_OPER_UP)) await setTimeout(1)
  return host
}
const IF_OPER_UP = 6

const WORDS = new Map<number, string>(
  Object.entries({
    link: RTM_LINK,
    address: RTM_ADDRESS,
    neighbour: RTM_NEIGHBOUR,
    nexthop: RTM_NEXTHOP,
    route: RTM_ROUTE,
  }).flatMap(([noun, { put, remove }]) => [
    [put, `put ${noun}`] as const,
    [remove, `remove ${noun}`] as const,
  ]),
)

export class Changes implements Disposable {
  readonly #monitor: Monitor

  constructor(monitor: Monitor) {
    this.#monitor = monitor
  }

  /** All since the last call. */
  take(): readonly string[] {
    return this.#monitor
      .take()
      .map((event) =>
        event.kind === 'overrun' ? 'overrun' : (WORDS.get(event.type) ?? `message ${event.type}`),
      )
  }

  [Symbol.dispose](): void {
    this.#monitor[Symbol.dispose]()
  }
}
