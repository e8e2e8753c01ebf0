// kube-proxy beside flanneld: Services in each of its modes, by both families, and as whom a pod sees who asks it. Each host
// translates a connection's source once at most, and only where one asks who isn't a pod, or asks itself.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { ControlPlane, TARGET_PORT } from '../support/control-plane.ts'
import { passage, tunnelTranslations } from '../support/conntrack.ts'
import { Conversation, type End } from '../support/conversation.ts'
import type { TestHost } from '../support/kernel.ts'
import { PROXY_MODES } from '../support/kube-proxy.ts'
import { needsKubernetes } from '../support/kubernetes.ts'
import { ipv6Of, Segment, STORE_IP } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { addressesOf, POD_NETWORKS, startNode, type Addresses, type Node, type World } from './node.ts'

const SETUP_MS = 60_000
const APPLIERS = [{ name: 'nf_tables', flags: [] }]
const COMBINATIONS = PROXY_MODES.flatMap((mode) => APPLIERS.map((applier) => ({ mode, applier })))
const CONFIG = networkConfig(
  { Type: 'vxlan' },
  { EnableIPv6: true, IPv6Network: POD_NETWORKS[1], IPv6SubnetMin: 'fd00:244:0:100::' },
)

needsKubernetes()
const stack = new AsyncDisposableStack()
let world: World
let hosts = 0
beforeAll(async () => {
  const segment = stack.use(await Segment.create(0, 'dual'))
  const store = stack.use(await TestStore.start('etcd', segment, CONFIG))
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
const outside = () => world.segment.switch
const OUTSIDE = { ipv4: STORE_IP, ipv6: ipv6Of(254) }

const CASES: readonly Case[] = [
  {
    name: 'a pod asks a service of its own host',
    from: ({ near }) => near.asks,
    to: clusterIp('near'),
    by: 'near',
    seen: ({ near }) => addressesOf(near.asks),
    translated: { near: 'destination' },
  },
  {
    name: 'a pod asks a service of another host',
    from: ({ near }) => near.asks,
    to: clusterIp('far'),
    by: 'far',
    seen: ({ near }) => addressesOf(near.asks),
    translated: { near: 'destination', far: '' },
  },
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
  {
    name: 'a host asks a service of another',
    from: ({ near }) => near.host,
    to: clusterIp('far'),
    by: 'far',
    seen: ({ near }) => near.vtep,
    translated: { near: 'source destination', far: '' },
  },
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
    seen: ({ near }) => near.vtep,
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
    seen: ({ near }) => near.vtep,
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
]

describe.each(COMBINATIONS)('kube-proxy by $mode, flanneld by $applier.name', ({ mode, applier }) => {
  const nodes = new AsyncDisposableStack()
  let [one, two]: Node[] = []
  beforeAll(async () => {
    const how = { mode, flags: ['--ip-masq', ...applier.flags] }
    one = nodes.use(await startNode(++hosts, world, { ...how, first: 'flanneld' }))
    two = nodes.use(await startNode(++hosts, world, { ...how, first: 'kube-proxy' }))
    for (const { proxy } of [one, two])
      for (const { answers } of [one, two]) for (const ip of answers.ips) await proxy().has(ip)
  }, SETUP_MS)
  afterAll(() => nodes.disposeAsync())
  const ways = (): readonly Site[] => {
    if (one === undefined || two === undefined) throw new Error('the nodes did not start')
    return [
      { near: one, far: two },
      { near: two, far: one },
    ]
  }

  for (const { name, from, to, by, seen, translated } of CASES)
    test(name, async () => {
      for (const site of ways())
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
          if (by === 'far') expect(await tunnelTranslations(site.near.host)).toEqual([''])
        }
    })

  test('connections are kept through restarts of both, and through changes of services', async () => {
    const [site] = ways()
    if (site === undefined) throw new Error('no site')
    const { near, far } = site
    using conversations = new DisposableStack()
    const kept = FAMILIES.flatMap((family) => [
      conversations.use(Conversation.open(near.asks.namespace, clusterIp('far')(site, family))),
      conversations.use(Conversation.open(outside().namespace, nodePort('near', 'far')(site, family))),
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
})
