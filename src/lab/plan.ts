// What a lab consists of, from its parameters alone: names, addresses, the network config. Pure.
import type { Family, Ip } from '../model/ip.ts'
import { NetworkConfigError, parseNetworkConfig, subnetCount } from '../model/net-config.ts'
import { addressAt, familyOfPrefix, lengthOf, overlaps, type Prefix } from '../model/prefix.ts'
import { LabError } from './error.ts'
import { DUAL_STACK, formatNetworks, parseNetworks } from './networks.ts'
import { count } from './words.ts'

export const BACKENDS = ['vxlan', 'host-gw'] as const
export type BackendName = (typeof BACKENDS)[number]

/** What a person chooses. */
export interface LabParameters {
  readonly hosts: number
  /** On each host. */
  readonly pods: number
  readonly backend: BackendName
  /** One network a family, IPv4 first: `10.244.0.0/16,fd00:10:244::/48`. */
  readonly network: string
  /** `embedded`, or `etcd://HOST:PORT` as this machine reaches it. */
  readonly store: string
  /** By host name: the path of another flanneld that this host runs instead of heddle's. */
  readonly peers: Readonly<Record<string, string>>
}

export const DEFAULTS: LabParameters = {
  hosts: 3,
  pods: 2,
  backend: 'vxlan',
  network: DUAL_STACK,
  store: 'embedded',
  peers: {},
}

/** More would not fit into the underlay's /24, or take longer to prove than anybody waits. */
const MOST_HOSTS = 100
const MOST_PODS = 256
const STORE_PORT = 2379

export interface PodPlan {
  /** e.g. `h1p2`: the name of its network namespace too. */
  readonly name: string
  readonly host: string
}
export interface HostPlan {
  readonly name: string
  /** On the underlay, one a stack and in their order. */
  readonly addresses: readonly Ip[]
  readonly pods: readonly PodPlan[]
  /** Path of the flanneld to run here instead of heddle's. */
  readonly peer: string | undefined
}
export interface EtcdAddress {
  readonly host: string
  readonly port: number
}
/** One family of a lab. */
export interface StackPlan {
  readonly family: Family
  /** The pods'. */
  readonly network: Prefix
  /** Connects the hosts, the store and the router. */
  readonly underlay: Prefix
  readonly router: Ip
  readonly store: Ip
  /** Beyond the router; knows the way back to the underlay and to nothing else. */
  readonly outside: { readonly prefix: Prefix; readonly router: Ip; readonly address: Ip }
}
export interface LabPlan {
  readonly parameters: LabParameters
  /** One or two, IPv4 first. */
  readonly stacks: readonly StackPlan[]
  /** Where hosts reach the store: in the store's own namespace, by the first family. */
  readonly store: { readonly address: Ip; readonly port: number; readonly etcd: EtcdAddress | undefined }
  readonly hosts: readonly HostPlan[]
  /** The value of the store's config key. */
  readonly config: string
}

/** The plan of a lab. Throws LabError `usage` with a sentence about the first parameter that can't be. */
export function planOf(parameters: LabParameters): LabPlan {
  const { hosts, pods } = parameters
  whole('--hosts', hosts, MOST_HOSTS)
  whole('--pods', pods, Math.floor(MOST_PODS / hosts), ` with ${count(hosts, 'host')}`)
  if (!BACKENDS.includes(parameters.backend))
    refuse(`--backend ${parameters.backend}: a lab can have ${BACKENDS.join(' or ')}`)
  const networks = checkedNetworks(parameters)
  const stacks = networks.map(stackOf)
  const [first] = stacks
  if (first === undefined) throw new TypeError('a lab without a network was planned')
  const names = Array.from({ length: hosts }, (_, i) => `h${i + 1}`)
  for (const name of Object.keys(parameters.peers))
    if (!names.includes(name)) refuse(`--peer ${name}=…: this lab has the hosts ${range(names)}`)
  return {
    parameters: { ...parameters, network: formatNetworks(networks) },
    stacks,
    store: { address: first.store, port: STORE_PORT, etcd: etcdOf(parameters.store) },
    hosts: names.map((name, i) => ({
      name,
      addresses: stacks.map(({ underlay }) => at(underlay, i + 1)),
      peer: parameters.peers[name],
      pods: Array.from({ length: pods }, (_, p) => ({ name: `${name}p${p + 1}`, host: name })),
    })),
    config: configOf(parameters, networks),
  }
}

const refuse = (message: string): never => {
  throw new LabError('usage', message)
}

function whole(flag: string, value: number, most: number, given = ''): void {
  if (!Number.isInteger(value) || value < 1 || value > most)
    refuse(`${flag} ${value}: want a whole number from 1 to ${most}${given}`)
}

const at = (prefix: Prefix, offset: number): Ip => addressAt(prefix, BigInt(offset))
const range = (names: readonly string[]): string =>
  names.length < 3 ? names.join(' and ') : `${names[0]} to ${names.at(-1)}`

function configOf({ backend }: LabParameters, networks: readonly Prefix[]): string {
  const [ipv4, ipv6] = FAMILIES.map((family) => networks.find((one) => familyOfPrefix(one) === family))
  return JSON.stringify({
    ...(ipv4 === undefined ? { EnableIPv4: false } : { Network: ipv4 }),
    ...(ipv6 === undefined ? {} : { EnableIPv6: true, IPv6Network: ipv6 }),
    EnableNFTables: true,
    Backend: { Type: backend },
  })
}

function checkedNetworks(parameters: LabParameters): readonly Prefix[] {
  const networks = parseNetworks(parameters.network)
  if (typeof networks === 'string') return refuse(`--network ${networks}`)
  for (const network of networks) if (lengthOf(network) === 0) refuseAll(network)
  let config
  try {
    config = parseNetworkConfig(configOf(parameters, networks))
  } catch (error) {
    if (error instanceof NetworkConfigError)
      return refuse(`--network ${formatNetworks(networks)}: ${error.message}`)
    throw error
  }
  for (const family of FAMILIES) {
    const cut = config[family]
    if (cut === undefined) continue
    const subnets = subnetCount(cut)
    if (subnets < BigInt(parameters.hosts))
      refuse(
        `--network ${cut.network} has ${subnets} subnets of /${cut.subnetLength}: too few for ${parameters.hosts} hosts`,
      )
    // Its base, its gateway and its broadcast address are no pod's.
    const room = 2 ** ((family === 'ipv4' ? 32 : 128) - cut.subnetLength) - 3
    if (room < parameters.pods)
      refuse(
        `--network ${cut.network} gives each host a /${cut.subnetLength}: room for ${count(Math.max(0, room), 'pod')}, not ${parameters.pods}`,
      )
  }
  return networks
}

const FAMILIES = ['ipv4', 'ipv6'] as const
/** What the kernel routes nowhere, or to this host itself: no pod can have an address in it. */
const UNUSABLE = {
  ipv4: ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4'],
  ipv6: ['::/96', '::ffff:0:0/96', 'fe80::/10', 'ff00::/8'],
} as const
/** Where the hosts may be, and what is outside; the pods' network may take one of them. */
const AROUND = {
  ipv4: {
    underlays: ['192.168.100.0/24', '172.20.100.0/24', '10.250.100.0/24'],
    outsides: ['203.0.113.0/24', '198.51.100.0/24'],
  },
  ipv6: {
    underlays: ['fd00:192:168:100::/64', 'fdc0:192:168:100::/64'],
    outsides: ['2001:db8:203:113::/64', '2001:db8:198:51::/64'],
  },
} as const

function stackOf(network: Prefix): StackPlan {
  const family = familyOfPrefix(network)
  const underlay = freeOf(network, AROUND[family].underlays)
  const outside = freeOf(network, AROUND[family].outsides)
  const unusable = (UNUSABLE[family] as readonly string[] as readonly Prefix[]).find((one) =>
    overlaps(one, network),
  )
  if (unusable !== undefined) refuse(`--network ${network}: no pod can have an address of ${unusable}`)
  return {
    family,
    network,
    underlay,
    router: at(underlay, 254),
    store: at(underlay, 253),
    outside: { prefix: outside, router: at(outside, 1), address: at(outside, 2) },
  }
}

/** The first of the candidates that the pod network leaves free. */
function freeOf(network: Prefix, candidates: readonly string[]): Prefix {
  const free = (candidates as readonly Prefix[]).find((prefix) => !overlaps(prefix, network))
  return free ?? refuseAll(network)
}

const refuseAll = (network: Prefix): never =>
  refuse(
    `--network ${network} leaves no addresses for the hosts; want a smaller one (/${lengthOf(network) + 1} or less)`,
  )

function etcdOf(store: string): EtcdAddress | undefined {
  if (store === 'embedded') return undefined
  const match = /^etcd:\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})\/?$/.exec(store)
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port < 1 || port > 65535)
    return refuse(`--store ${store}: want embedded, or etcd://HOST:PORT such as etcd://127.0.0.1:2379`)
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}

/** `HOST=PATH` of --peer, whose name the command line puts before the sentence. */
export function parsePeer(text: string): readonly [host: string, path: string] {
  const match = /^(h[1-9]\d*)=(.+)$/.exec(text)
  return match?.[1] !== undefined && match[2] !== undefined
    ? [match[1], match[2]]
    : refuse(`${text}: want HOST=PATH, e.g. h2=/usr/local/bin/flanneld`)
}

/** Which flags differ between what is asked for and what is up, e.g. `--hosts 3 (is 5)`. */
export function differences(asked: Partial<LabParameters>, up: LabParameters): string[] {
  return (Object.keys(asked) as (keyof LabParameters)[])
    .filter((key) => asked[key] !== undefined && show(asked[key]) !== show(up[key]))
    .map(
      (key) => `--${key === 'peers' ? 'peer' : key} ${show(asked[key])} (it has ${show(up[key]) || 'none'})`,
    )
}

/** In one form, whatever was typed. */
const show = (value: LabParameters[keyof LabParameters] | undefined): string =>
  typeof value === 'object'
    ? Object.entries(value)
        .map(([host, path]) => `${host}=${path}`)
        .toSorted()
        .join(' ')
    : canonicalNetworks(String(value))

function canonicalNetworks(text: string): string {
  const networks = parseNetworks(text)
  return typeof networks === 'string' ? text : formatNetworks(networks)
}

export const networksOf = (plan: LabPlan): readonly Prefix[] => plan.stacks.map(({ network }) => network)

export const podsOf = (plan: LabPlan): readonly PodPlan[] => plan.hosts.flatMap((host) => host.pods)

/** Every network namespace of the lab, by name. */
export const namespacesOf = (plan: LabPlan): readonly string[] => [
  'underlay',
  'outside',
  'store',
  ...plan.hosts.map((host) => host.name),
  ...podsOf(plan).map((pod) => pod.name),
]
