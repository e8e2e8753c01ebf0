// Which kernel settings this host should have for its pods to reach others: forwarding, filters of source addresses,
// IPv6 of the tunnels, room for neighbours. Pure.
import type { Family } from '../model/ip.ts'
import { sysctl, type Need, type Sysctl } from '../model/kernel.ts'
import { conntrackSettings, type ConntrackWish } from './conntrack.ts'
import type { HostFacts } from './facts.ts'
import { neighbourSettings } from './neighbours.ts'

export interface HostWish {
  /** Of the cluster's networks. */
  readonly families: readonly Family[]
  /** VXLAN devices of ours. */
  readonly devices: readonly { readonly name: string; readonly family: Family }[]
  /** Other hosts. */
  readonly peers: number
  readonly conntrack: ConntrackWish
  /** Off with `--sysctls=off`: what this host forwards, filters and keeps is set by somebody else. */
  readonly sysctls: boolean
}

/** `keptAdvertised`: links that have been kept hearing router advertisements since heddle made the host forward. */
export function hostSettings(
  wish: HostWish,
  facts: HostFacts,
  keptAdvertised: readonly string[],
): readonly Sysctl[] {
  return [
    ...(wish.sysctls ? tuning(wish, facts, keptAdvertised) : []),
    ...(facts.hasIpv6 ? refuseAdvertisements(wish) : []),
    ...conntrackSettings(wish.conntrack, facts.cores),
  ]
}

const tuning = (wish: HostWish, facts: HostFacts, keptAdvertised: readonly string[]): readonly Sysctl[] => [
  ...(wish.families.includes('ipv4') ? ipv4Forwarding(wish, facts) : []),
  ...(wish.families.includes('ipv6') ? ipv6Forwarding(wish, facts, keptAdvertised) : []),
  ...bridged(wish, facts),
  ...facts.neighbourLimits
    .filter((family) => wish.families.includes(family))
    .flatMap((family) => neighbourSettings(family, wish.peers)),
]

const ofDevice = (
  device: { readonly name: string },
  setting: Pick<Sysctl, 'name' | 'value' | 'fine' | 'why'>,
): Sysctl => sysctl({ ...setting, link: device.name, undo: 'none' })

function ipv4Forwarding({ devices }: HostWish, { rpFilterOfAll }: HostFacts): Sysctl[] {
  // The greater one of a device's own value and that of `all` is in force: 1 is strict, 2 loose, 0 none.
  const harmless = rpFilterOfAll === 1 ? [] : rpFilterOfAll === 0 ? [0] : [0, 1]
  return [
    sysctl({
      name: 'net/ipv4/ip_forward',
      value: 1,
      why: "packets from and to this host's pods are forwarded",
      undo: 'leave',
    }),
    ...devices
      .filter(({ family }) => family === 'ipv4')
      .flatMap((device) => [
        ofDevice(device, {
          name: `net/ipv4/conf/${device.name}/forwarding`,
          value: 1,
          why: "packets of other hosts' pods are forwarded",
        }),
        ofDevice(device, {
          name: `net/ipv4/conf/${device.name}/rp_filter`,
          value: 2,
          ...(harmless.length > 0 && { fine: harmless }),
          why: 'packets whose answers leave by another link, as with DirectRouting on one side only, are not dropped',
        }),
      ]),
  ]
}

const refuseAdvertisements = ({ devices }: HostWish): Sysctl[] =>
  devices.map((device) =>
    ofDevice(device, {
      name: `net/ipv6/conf/${device.name}/accept_ra`,
      value: 0,
      why: 'nobody on the overlay hands out default routes',
    }),
  )

/** A host that forwards hears no router advertisements unless it is told to, and loses the default route it has by them. */
function ipv6Forwarding(
  { devices }: HostWish,
  { advertisedTo }: HostFacts,
  keptAdvertised: readonly string[],
): Sysctl[] {
  const hearing = [...new Set([...advertisedTo, ...keptAdvertised])]
  const acceptRa = (link: string) => `net/ipv6/conf/${link}/accept_ra`
  const needs = hearing.map((link): Need => ({
    name: acceptRa(link),
    not: 1,
    else: `this host would lose the IPv6 routes and addresses that a router tells it on ${link}: sysctl -w net/ipv6/conf/${link}/accept_ra=2 first`,
  }))
  return [
    ...devices
      .filter(({ family }) => family === 'ipv6')
      .map((device) =>
        ofDevice(device, {
          name: `net/ipv6/conf/${device.name}/disable_ipv6`,
          value: 0,
          why: 'the device carries IPv6',
        }),
      ),
    ...hearing.map((link) =>
      sysctl({
        name: acceptRa(link),
        value: 2,
        // Not heard by the kernel at all: by a daemon then.
        fine: [0],
        why: 'router advertisements are heard though the host forwards',
        link,
        undo: 'leave',
      }),
    ),
    sysctl({
      name: 'net/ipv6/conf/all/forwarding',
      value: 1,
      why: "packets from and to this host's pods are forwarded",
      ...(needs.length > 0 && { needs }),
      undo: 'leave',
    }),
  ]
}

/** Without it a pod that asks a Service gets its answer from a pod on the same bridge, and by another name. */
const bridged = ({ families }: HostWish, { kubeProxy }: HostFacts): Sysctl[] =>
  families
    .filter((family) => kubeProxy.includes(family))
    .map((family) =>
      sysctl({
        name: `net/bridge/bridge-nf-call-${family === 'ipv4' ? 'iptables' : 'ip6tables'}`,
        value: 1,
        why: 'kube-proxy sees the answers that pods on one bridge give each other',
        module: 'br_netfilter',
        undo: 'leave',
      }),
    )
