// Whether a pod still hangs on its host's bridge as the CNI plugin left it, read from the kernel: what is gone or down
// is named, e.g. `h1 has no cni0`.
import type { Ip } from '../model/ip.ts'
import { containsIp, parsePrefix } from '../model/prefix.ts'
import { listAddresses, parseAddress } from '../netlink/address.ts'
import { listLinks, parseLink, type LinkInfo } from '../netlink/link.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'
import type { LabDirectory } from './directory.ts'
import { subnetsOf } from './host.ts'
import type { LabNamespaces } from './namespaces.ts'
import type { PodPlan } from './plan.ts'
import { IFNAME, podAddresses, podResult } from './pod-result.ts'

/** The first thing between the pod and its host that is not as it was made; undefined if all is. */
export function podProblem(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  pod: PodPlan,
): string | undefined {
  const result = podResult(directory, pod)
  if (result === undefined) return `${pod.name} has no address`
  const stray = strayAddress(directory, pod)
  if (stray !== undefined) return `${pod.name} has ${stray}, which is not in the subnet of ${pod.host}`
  for (const name of [pod.host, pod.name])
    if (!namespaces.has(name)) return `${name} has lost its network namespace`
  const host = networkOf(namespaces.get(pod.host))
  const inside = networkOf(namespaces.get(pod.name))
  const bridge = host.link(result.bridge)
  const end = host.link(result.hostLink)
  return (
    lacking(pod.host, result.bridge, bridge) ??
    firstOf(result.ips, ({ gateway }) => lacksAddress(pod.host, host, bridge, gateway)) ??
    lacking(pod.host, result.hostLink, end, ` of ${pod.name}`) ??
    (end?.master === bridge?.index
      ? undefined
      : `${result.hostLink} of ${pod.name} is not on ${result.bridge}`) ??
    lacking(pod.name, IFNAME, inside.link(IFNAME)) ??
    firstOf(result.ips, ({ ip }) => lacksAddress(pod.name, inside, inside.link(IFNAME), ip))
  )
}

/** An address from another subnet than the host has now; undefined too while the host has none. */
export function strayAddress(directory: LabDirectory, pod: PodPlan): Ip | undefined {
  const subnets = subnetsOf(directory, { name: pod.host }).flatMap((text) => parsePrefix(text) ?? [])
  if (subnets.length === 0) return undefined
  return podAddresses(directory, pod).find((ip) => !subnets.some((subnet) => containsIp(subnet, ip)))
}

function firstOf<T>(items: readonly T[], find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}

interface Network {
  readonly link: (name: string) => LinkInfo | undefined
  readonly has: (linkIndex: number, ip: Ip) => boolean
}

function networkOf(namespace: Namespace): Network {
  using socket = NetlinkSocket.open('route', namespace)
  const links = socket.dump(listLinks(), (reply) => parseLink(reply.body))
  const addresses = socket.dump(listAddresses(), (reply) => parseAddress(reply.body))
  return {
    link: (name) => links.find((link) => link.name === name),
    has: (linkIndex, ip) => addresses.some((one) => one.linkIndex === linkIndex && one.ip === ip),
  }
}

function lacking(owner: string, name: string, link: LinkInfo | undefined, of = ''): string | undefined {
  if (link === undefined) return `${owner} has no ${name}${of}`
  return link.up ? undefined : `${name}${of || ` of ${owner}`} is down`
}

const lacksAddress = (
  owner: string,
  network: Network,
  link: LinkInfo | undefined,
  ip: Ip | undefined,
): string | undefined =>
  link === undefined || ip === undefined || network.has(link.index, ip)
    ? undefined
    : `${link.name} of ${owner} has lost its address ${ip}`
