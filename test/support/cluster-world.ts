// Hosts with heddle's flanneld and a pod each, on an etcd cluster, each host asking another member first; and traffic
// between the pods while something happens: `await world.undisturbed(() => …)`.
import { expect } from 'bun:test'
import { agreed } from './agreement.ts'
import { Changes } from './changes.ts'
import { EtcdCluster } from './etcd-cluster.ts'
import { leaseKey } from './etcd-keys.ts'
import type { EtcdMember, EtcdVersion } from './etcd-member.ts'
import { Flanneld, type StoreAccess } from './flanneld.ts'
import { eventually } from './process.ts'
import { Segment, type Host, type Pod } from './segment.ts'
import { networkConfig, vxlanLease } from './stores.ts'
import { Traffic } from './traffic.ts'

export interface WorldOptions {
  readonly hosts?: number
  readonly version?: EtcdVersion
  /** More flags of every flanneld. */
  readonly args?: readonly string[]
}
export interface UndisturbedOptions {
  /** Peers come or go meanwhile; without it, not one write to a kernel is allowed. */
  readonly writes?: boolean
}

export const CONFIG = networkConfig({ Type: 'vxlan' })
/** Peers that go are given up soon. Where nobody's lease goes, nobody is. */
export const IMPATIENT = ['--store-reset-grace=200ms']

export class ClusterWorld implements AsyncDisposable {
  readonly segment: Segment
  readonly cluster: EtcdCluster
  /** One a host, in their order. */
  readonly daemons: Flanneld[] = []
  readonly pods: Pod[] = []
  readonly #args: readonly string[]
  readonly #stack: AsyncDisposableStack
  #madeUp = 10

  private constructor(
    stack: AsyncDisposableStack,
    segment: Segment,
    cluster: EtcdCluster,
    args: readonly string[],
  ) {
    this.#stack = stack
    this.segment = segment
    this.cluster = cluster
    this.#args = args
  }

  /** All pods reach each other, and nothing is left to do. */
  static async start({ hosts = 3, version = '3.6', args = [] }: WorldOptions = {}): Promise<ClusterWorld> {
    await using stack = new AsyncDisposableStack()
    const segment = stack.use(await Segment.create(hosts))
    const cluster = stack.use(await EtcdCluster.start(segment, CONFIG, { version }))
    const world = new ClusterWorld(stack.move(), segment, cluster, args)
    try {
      await Promise.all(segment.hosts.map((host) => world.#join(host)))
      await world.settled()
      return world
    } catch (error) {
      await world[Symbol.asyncDispose]()
      throw error
    }
  }

  host(number: number): Host {
    return this.segment.host(number)
  }

  daemon(number: number): Flanneld {
    const daemon = this.daemons[number - 1]
    if (daemon === undefined) throw new Error(`no flanneld runs on h${number}`)
    return daemon
  }

  /** The member that host number `number` is connected to; of several, one. */
  async memberOf(number: number): Promise<EtcdMember> {
    return eventually(`h${number} is connected to a member`, async () => {
      const [member] = await this.cluster.connectedTo(this.host(number))
      return member
    })
  }

  /** Kills host number `number`'s daemon and launches another, which may have to wait for the store. */
  async restart(number: number): Promise<void> {
    const { host } = this.daemon(number)
    await this.daemon(number).end('SIGKILL')
    this.daemons[number - 1] = Flanneld.launch(host, this.#access(host), { args: this.#args })
  }

  /**
   * No packet between pods is lost during `act` and until all agree with the store again; no subnet changes, and no
   * daemon ends.
   */
  async undisturbed(act: () => Promise<void>, { writes = false }: UndisturbedOptions = {}): Promise<void> {
    await using stack = new AsyncDisposableStack()
    const subnets = this.segment.hosts.map(({ subnet }) => subnet)
    const changes = this.segment.hosts.map((host) => stack.use(new Changes(host)))
    const flows: Traffic[] = []
    for (const [from, to] of this.#pairs()) flows.push(stack.use(await Traffic.start(from.namespace, to.ip)))
    await act()
    await this.agreed()
    for (const flow of flows) {
      const { sent, lost } = await flow.stop()
      expect({ lost }).toEqual({ lost: 0 })
      expect(sent).toBeGreaterThan(10)
    }
    if (!writes) for (const each of changes) expect(await each.take()).toEqual([])
    expect(this.segment.hosts.map(({ subnet }) => subnet)).toEqual(subnets)
    for (const daemon of this.daemons) expect(daemon.process.running).toBe(true)
  }

  /** The store and every kernel tell the same. */
  async agreed(withinSeconds = 15): Promise<void> {
    await agreed(this.cluster, this.daemons, { withinSeconds })
  }

  /** Another writer's peer comes to every host, and goes. */
  async hears(withinSeconds = 10): Promise<void> {
    const peer = this.peer()
    this.cluster.put(peer.key, peer.value)
    await this.agreed(withinSeconds)
    this.cluster.delete(peer.key)
    await this.agreed(withinSeconds)
  }

  /** A peer that is nowhere, and its lease: put by nobody yet. */
  peer(): { readonly subnet: string; readonly key: string; readonly value: string } {
    const number = this.#madeUp++
    const subnet = `10.244.${number}.0/24`
    return {
      subnet,
      key: leaseKey(subnet),
      value: vxlanLease(`192.168.100.${number}`, `02:42:00:00:00:${number}`),
    }
  }

  /** Traffic flows, all agree, and the kernels have come to rest. */
  async settled(): Promise<void> {
    await this.agreed()
    for (const [from, to] of this.#pairs())
      await eventually(`${from.ip} reaches ${to.ip}`, async () => (await from.reaches(to.ip)) || undefined)
    await Promise.all(
      this.segment.hosts.map(async (host) => {
        using changes = new Changes(host)
        await changes.quiet()
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.daemons) await daemon[Symbol.asyncDispose]()
    await this.#stack.disposeAsync()
  }

  async #join(host: Host): Promise<void> {
    const daemon = await Flanneld.start(host, this.#access(host), { args: this.#args })
    this.daemons[this.segment.hosts.indexOf(host)] = daemon
    this.pods[this.segment.hosts.indexOf(host)] = await host.pod()
  }

  #access(host: Host): StoreAccess {
    const first = this.cluster.member((this.segment.hosts.indexOf(host) % 3) + 1)
    return { endpoint: this.cluster.endpointsFrom(first), flags: this.cluster.flags }
  }

  /** Each pod with the next one. */
  #pairs(): (readonly [Pod, Pod])[] {
    return this.pods.map((pod, index) => [pod, this.pods[(index + 1) % this.pods.length] ?? pod] as const)
  }
}
