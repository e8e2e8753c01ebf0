// kube-proxy beside flanneld: Services in each of its modes, by both families, and as whom a pod sees who asks it. Each host
// translates a connection's source once at most, and only where one asks who isn't a pod, or asks itself.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { ControlPlane, TARGET_PORT } from '../support/control-plane.ts'
import { passage, tunnelTranslations } from '../support/conntrack.ts'
import { Conversation, type End } from '../support/conversation.ts'
import type { TestHost } from '../support/kernel.ts'
import { PROXY_MODES, type ProxyMode } from '../support/kube-proxy.ts'
import { needsKubernetes } from '../support/kubernetes.ts'
import { eventually } from '../support/process.ts'
import { ipv6Of, Segment, STORE_IP } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import {
  addressesOf,
  HOST_PORT,
  KNOWS_PODS,
  POD_NETWORKS,
  startNode,
  type Addresses,
  type BackendType,
  type Node,
  type World,
} from './node.ts'

const SETUP_MS = 60_000
/** kube-proxy's mode, flanneld's `--firewall`: the same and another one. */
const COMBINATIONS = [
  { mode: 'nftables', applier: 'nftables', backend: 'vxlan' },
  { mode: 'nftables', applier: 'iptables-nft', backend: 'vxlan' },
  { mode: 'iptables-nft', applier: 'nftables', backend: 'vxlan' },
  { mode: 'iptables-nft', applier: 'iptables-nft', backend: 'vxlan' },
  { mode: 'iptables-legacy', applier: 'nftables', backend: 'vxlan' },
  { mode: 'iptables-legacy', applier: 'iptables-legacy', backend: 'vxlan' },
  { mode: 'iptables-nft', applier: 'iptables-legacy', backend: 'host-gw' },
] as const
/** flanneld's own question about checksums carries kube-proxy's mark on purpose, and would be translated by it. */
const FLAGS = ['--ip-masq', '--checksum-offload=on']
const networkOf = (backend: BackendType): string =>
  networkConfig(
    { Type: backend },
    { EnableIPv6: true, IPv6Network: POD_NETWORKS[1], IPv6SubnetMin: 'fd00:244:0:100::' },
  )

needsKubernetes()
const stack = new AsyncDisposableStack()
let world: World
let hosts = 0
beforeAll(async () => {
  const segment = stack.use(await Segment.create(0, 'dual'))
  const store = stack.use(await TestStore.start('etcd', segment))
  for (const backend of ['vxlan', 'host-gw'] as const) store.put(`/${backend}/config`, networkOf(backend))
  world = { segment, store, plane: stack.use(await ControlPlane.start(segment, store)) }
}, SETUP_MS)
afterAll(() => stack.disposeAsync())

/** Who asks, from where things are near. */
interface Site {
  readonly near: Node
  readonly far: Node
}
interface Case {
  readonly name: string
  readonly from: (site: Site) => TestHost
  readonly to: (site: Site, family: Family) => End
  readonly by: 'near' | 'far'
  /** Whom the pod sees. */
  readonly seen: (site: Site) => Addresses
  /** Where not in all of them. */
  readonly modes?: readonly ProxyMode[]
  /** What each host that it passes does to the connection, in this order. */
  readonly translated: Partial<Record<'near' | 'far', string>>
}
const clusterIp =
  (node: 'near' | 'far') =>
  (site: Site, family: Family): End => ({ ip: site[node].service.any.clusterIp[family], port: 80 })
const nodePort =
  (at: 'near' | 'far', node: 'near' | 'far', policy: 'any' | 'local' = 'any') =>
  (site: Site, family: Family): End => ({
    ip: site[at].ip[family],
    port: site[node].service[policy].nodePort,
  })
const hostPort =
  (node: 'near' | 'far') =>
  (site: Site, family: Family): End => ({ ip: site[node].ip[family], port: HOST_PORT })
const outside = () => world.segment.switch
const OUTSIDE = { ipv4: STORE_IP, ipv6: ipv6Of(254) }

const MASQUERADED = { near: 'source destination', far: '' }
const POD_ASKS_FAR: Case = {
  name: 'a pod asks a service of another host',
  from: ({ near }) => near.asks,
  to: clusterIp('far'),
  by: 'far',
  seen: ({ near }) => addressesOf(near.asks),
  translated: { near: 'destination', far: '' },
}
const HOST_ASKS_FAR: Case = {
  name: 'a host asks a service of another',
  from: ({ near }) => near.host,
  to: clusterIp('far'),
  by: 'far',
  seen: ({ near }) => near.beyond,
  translated: MASQUERADED,
}
const CASES: readonly Case[] = [
  {
    name: 'a pod asks a service of its own host',
    from: ({ near }) => near.asks,
    to: clusterIp('near'),
    by: 'near',
    seen: ({ near }) => addressesOf(near.asks),
    translated: { near: 'destination' },
  },
  POD_ASKS_FAR,
  {
    name: 'a pod asks a service that is itself',
    from: ({ near }) => near.answers,
    to: clusterIp('near'),
    by: 'near',
    seen: ({ near }) => near.gateway,
    translated: { near: 'source destination' },
  },
  {
    name: 'a host asks a service of its own',
    from: ({ near }) => near.host,
    to: clusterIp('near'),
    by: 'near',
    seen: ({ near }) => near.gateway,
    translated: { near: 'source destination' },
  },
  HOST_ASKS_FAR,
  {
    name: 'a stranger asks a port of the node where the pod is',
    from: outside,
    to: nodePort('near', 'near'),
    by: 'near',
    seen: ({ near }) => near.gateway,
    translated: { near: 'source destination' },
  },
  {
    name: 'a stranger asks a port of another node than the pod is on',
    from: outside,
    to: nodePort('near', 'far'),
    by: 'far',
    seen: ({ near }) => near.beyond,
    translated: { near: 'source destination', far: '' },
  },
  {
    name: 'a stranger asks a port whose service wants to see him',
    from: outside,
    to: nodePort('near', 'near', 'local'),
    by: 'near',
    seen: () => OUTSIDE,
    translated: { near: 'destination' },
  },
  {
    name: 'a pod asks a port of its own node',
    from: ({ near }) => near.asks,
    to: nodePort('near', 'far'),
    by: 'far',
    seen: ({ near }) => near.beyond,
    translated: { near: 'source destination', far: '' },
  },
  {
    name: 'a pod asks a port of another node, as all that is outside the network',
    from: ({ far }) => far.asks,
    to: nodePort('near', 'near', 'local'),
    by: 'near',
    seen: ({ far }) => far.ip,
    translated: { far: 'source', near: 'destination' },
  },
  {
    name: "a stranger asks a host's port that leads to a pod",
    from: outside,
    to: hostPort('near'),
    by: 'near',
    seen: () => OUTSIDE,
    translated: { near: 'destination' },
  },
  {
    name: 'a host asks its own port that leads to a pod',
    from: ({ near }) => near.host,
    to: hostPort('near'),
    by: 'near',
    seen: ({ near }) => near.ip,
    translated: { near: 'destination' },
  },
  {
    name: "a pod asks its own host's port that leads to another pod: portmap by iptables marks it",
    modes: ['iptables-nft', 'iptables-legacy'],
    from: ({ near }) => near.asks,
    to: hostPort('near'),
    by: 'near',
    seen: ({ near }) => near.gateway,
    translated: { near: 'source destination' },
  },
  {
    name: "a pod asks its own host's port that leads to another pod: portmap by nf_tables doesn't",
    modes: ['nftables'],
    from: ({ near }) => near.asks,
    to: hostPort('near'),
    by: 'near',
    seen: ({ near }) => addressesOf(near.asks),
    translated: { near: 'destination' },
  },
  {
    name: "a pod asks its own host's port that leads to itself",
    from: ({ near }) => near.answers,
    to: hostPort('near'),
    by: 'near',
    seen: ({ near }) => near.gateway,
    translated: { near: 'source destination' },
  },
  {
    name: "a pod asks another host's port that leads to a pod",
    from: ({ near }) => near.asks,
    to: hostPort('far'),
    by: 'far',
    seen: ({ near }) => near.ip,
    translated: { near: 'source', far: 'destination' },
  },
]

/** Whom it sees, who it is, and what each host on the way did, by both families. */
async function holds({ from, to, by, seen, translated }: Case, site: Site): Promise<void> {
  for (const family of FAMILIES) {
    const target = to(site, family)
    using conversation = Conversation.open(from(site).namespace, target)
    const answer = await conversation.ask()
    expect(answer.by).toBe(site[by].name)
    expect(answer.seen.ip).toBe(seen(site)[family])
    const passed = Object.keys(translated) as ('near' | 'far')[]
    const way = await passage(
      passed.map((node) => site[node].host),
      conversation.own,
      target,
    )
    expect(way).toEqual({
      translated: passed.map((node) => translated[node] ?? ''),
      seen: answer.seen,
      reaches: { ip: addressesOf(site[by].answers)[family], port: TARGET_PORT },
    })
    if (by === 'far')
      expect(await tunnelTranslations(site.near.host)).toEqual(site.near.backend === 'vxlan' ? [''] : [])
  }
}

/** kube-proxy writes all rules of a service and a family at once, some time after it heard of it. */
async function answered({ host, name }: Node, services: Node['service']): Promise<void> {
  for (const { clusterIp, name: service } of Object.values(services))
    for (const family of FAMILIES)
      await eventually(`service ${service} answers ${name} at ${clusterIp[family]}`, async () => {
        using conversation = Conversation.open(host.namespace, { ip: clusterIp[family], port: 80 })
        return await conversation.ask(0.3).catch(() => undefined)
      })
}

describe.each(COMBINATIONS)('kube-proxy by $mode, flanneld by $applier and $backend', (how) => {
  const { mode, applier, backend } = how
  const nodes = new AsyncDisposableStack()
  let [one, two]: Node[] = []
  beforeAll(async () => {
    const alike = { mode, backend, flags: [...FLAGS, `--firewall=${applier}`] }
    one = nodes.use(await startNode(++hosts, world, { ...alike, first: 'flanneld' }))
    two = nodes.use(await startNode(++hosts, world, { ...alike, first: 'kube-proxy' }))
    for (const node of [one, two]) for (const { service } of [one, two]) await answered(node, service)
  }, SETUP_MS)
  afterAll(() => nodes.disposeAsync())
  const ways = (): readonly [Site, Site] => {
    if (one === undefined || two === undefined) throw new Error('the nodes did not start')
    return [
      { near: one, far: two },
      { near: two, far: one },
    ]
  }

  for (const each of CASES.filter(({ modes = PROXY_MODES }) => modes.includes(mode)))
    test(each.name, async () => {
      for (const site of ways()) await holds(each, site)
    })

  test('connections are kept through restarts of both, and through changes of services', async () => {
    const [site] = ways()
    const { near, far } = site
    using conversations = new DisposableStack()
    const kept = FAMILIES.flatMap((family) => [
      conversations.use(Conversation.open(near.asks.namespace, clusterIp('far')(site, family))),
      conversations.use(Conversation.open(outside().namespace, nodePort('near', 'far')(site, family))),
      conversations.use(Conversation.open(outside().namespace, hostPort('near')(site, family))),
    ])
    const answers = () => Promise.all(kept.map((each) => each.ask()))
    const before = await answers()
    for (const signal of ['SIGTERM', 'SIGKILL'] as const)
      for (const node of [near, far]) {
        await node.restartFlanneld(signal)
        expect(await answers()).toEqual(before)
      }
    await near.restartProxy()
    expect(await answers()).toEqual(before)
    world.plane.putEndpoints(near.service.any.name, [{ ip: addressesOf(near.asks), node: near.name }])
    for (const ip of near.asks.ips) await near.proxy().has(ip)
    expect(await answers()).toEqual(before)
    expect(await near.flanneld().repairs()).toBe(0)
  })

  test('kube-proxy writes its rules without fail, and flanneld finds nothing to put right', async () => {
    const [{ near }] = ways()
    for (const number of [201, 202, 203]) {
      const [ipv4 = '', ipv6 = ''] = near.asks.ips.map((ip) => ip.replace(/\d+$/, `${number}`))
      await near.restartFlanneld('SIGKILL')
      world.plane.putEndpoints(near.service.local.name, [{ ip: { ipv4, ipv6 }, node: near.name }])
      await near.proxy().has(ipv4)
      await near.proxy().has(ipv6)
    }
    for (const failed of ['iptables_restore', 'nftables_sync'])
      for (const count of await near.proxy().metric(`kubeproxy_sync_proxy_rules_${failed}_failures_total`))
        expect(count).toBe(0)
    expect(await near.flanneld().repairs()).toBe(0)
  })

  // From here on the near node, where flanneld's rules are first, has another kube-proxy.
  test('a kube-proxy that masquerades all that asks a service: pods are seen as their host', async () => {
    const [site] = ways()
    await site.near.restartProxy([...KNOWS_PODS, '--masquerade-all'])
    await holds({ ...POD_ASKS_FAR, seen: ({ near }) => near.beyond, translated: MASQUERADED }, site)
  })

  test("a kube-proxy that doesn't know pods by their addresses: flanneld masquerades their host", async () => {
    const [site] = ways()
    await site.near.restartProxy([])
    await holds(HOST_ASKS_FAR, site)
    await holds(POD_ASKS_FAR, site)
  })
})
