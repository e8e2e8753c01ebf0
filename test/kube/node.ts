// A node of a Kubernetes cluster: a host with heddle's flanneld and a kube-proxy, a pod that asks and one that answers, and
// services of which that one is the endpoint.
import type { Family } from '../../src/model/ip.ts'
import { TARGET_PORT, type ControlPlane } from '../support/control-plane.ts'
import { WhoAsks } from '../support/conversation.ts'
import { Flanneld } from '../support/flanneld.ts'
import { mapPort } from '../support/host-ports.ts'
import { KubeProxy, xtablesLock, type ProxyMode } from '../support/kube-proxy.ts'
import type { Host, Pod, Segment } from '../support/segment.ts'
import type { TestStore } from '../support/stores.ts'
import { prefix } from '../support/values.ts'

export const POD_NETWORKS = ['10.244.0.0/16', 'fd00:244::/48'] as const

/** Of kube-proxy: what comes from there comes from pods. */
export const KNOWS_PODS = [`--cluster-cidr=${POD_NETWORKS.join(',')}`]
/** Of each node, for the pod that answers. */
export const HOST_PORT = 8088

export interface World {
  readonly segment: Segment
  readonly store: TestStore
  readonly plane: ControlPlane
}
export type BackendType = 'vxlan' | 'host-gw'
interface How {
  readonly mode: ProxyMode
  /** The world has a network of it, under its name. */
  readonly backend: BackendType
  /** Of flanneld. */
  readonly flags: readonly string[]
  readonly first: 'flanneld' | 'kube-proxy'
}
export type Addresses = Readonly<Record<Family, string>>
export type Node = Awaited<ReturnType<typeof startNode>>

export async function startNode(
  number: number,
  { segment, store, plane }: World,
  { mode, backend, flags, first }: How,
) {
  await using starting = new AsyncDisposableStack()
  const host = await segment.addHost(number)
  plane.addNode(host.name, [host.ip, host.ipv6])
  const flanneldOptions = { args: [`--etcd-prefix=/${backend}`, ...flags], env: xtablesLock(host) }
  const newFlanneld = async () => starting.use(await Flanneld.start(host, store, flanneldOptions))
  const newProxy = async () => starting.use(await KubeProxy.start(host, plane, { mode, flags: KNOWS_PODS }))
  const early = first === 'kube-proxy' ? await newProxy() : undefined
  let flanneld = await newFlanneld()
  let proxy = early ?? (await newProxy())
  const [asks, answers] = [await host.pod(), await host.pod()]
  // As the CNI plugin does with `hairpinMode`.
  await host.sh('bridge link set dev pod0 hairpin on; bridge link set dev pod1 hairpin on')
  starting.use(await WhoAsks.listen(answers.namespace, TARGET_PORT, host.name))
  await mapPort(host, answers, mode, { hostPort: HOST_PORT, containerPort: TARGET_PORT })
  const own: Addresses = { ipv4: host.ip, ipv6: host.ipv6 }
  const service = putService(plane, number, answers, host.name)
  const vteps = [host.subnet, host.subnetValue('FLANNEL_IPV6_SUBNET').replace(/::1\//, '::/')]
  const whole = starting.move()
  return {
    name: host.name,
    host,
    backend,
    ip: own,
    asks,
    answers,
    service,
    /** Whom its pods see where the host itself asks, or asks for another: its address on cni0. */
    gateway: { ipv4: host.podGateway, ipv6: first6(host) } satisfies Addresses,
    /** Whom pods of other hosts see then: its address on flannel.1, or its own where there is none. */
    beyond:
      backend === 'host-gw' ? own : byFamily(vteps.map((subnet) => prefix(subnet).replace(/\/\d+$/, ''))),
    flanneld: () => flanneld,
    proxy: () => proxy,
    async restartFlanneld(signal: NodeJS.Signals): Promise<void> {
      await flanneld.end(signal)
      flanneld = whole.use(await Flanneld.start(host, store, flanneldOptions))
    },
    async restartProxy(flags: readonly string[] = KNOWS_PODS): Promise<void> {
      await proxy.process.end('SIGKILL')
      proxy = whole.use(await KubeProxy.start(host, plane, { mode, flags }))
    },
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

export const addressesOf = (pod: Pod): Addresses => byFamily(pod.ips)

/** Two services of the one pod: `local` sees who asks for it at a port of the node. */
function putService(plane: ControlPlane, number: number, pod: Pod, node: string) {
  const clusterIp = (host: number): Addresses => ({
    ipv4: `10.96.1.${host}`,
    ipv6: `fd00:96::${host + 0x1000}`,
  })
  const any = { name: node, clusterIp: clusterIp(number), nodePort: 30_000 + number }
  const local = {
    name: `${node}-local`,
    clusterIp: clusterIp(100 + number),
    nodePort: 30_100 + number,
    policy: 'Local' as const,
  }
  for (const service of [any, local]) {
    plane.putService(service)
    plane.putEndpoints(service.name, [{ ip: addressesOf(pod), node }])
  }
  return { any, local }
}

const first6 = (host: Host): string => host.subnetValue('FLANNEL_IPV6_SUBNET').replace(/\/\d+$/, '')
const byFamily = ([ipv4 = '', ipv6 = '']: readonly string[]): Addresses => ({ ipv4, ipv6 })
