// The lab: six hosts on one segment with a store, each with a flanneld and a pod, and packets between the pods.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { EtcdKind } from '../support/etcd.ts'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { Segment } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { FAMILIES } from './family.ts'
import { Flow } from './flow.ts'
import { readLeases, type Lease } from './leases.ts'
import { Site } from './site.ts'

const HOSTS = 6
const INTERRUPTS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A host whose MTU was changed is a smaller path to all others, which they find in their own time. */
const ARGS = ['--ip-masq', '--mtu-probe=off']

export class World implements AsyncDisposable {
  readonly segment: Segment
  readonly store: TestStore
  readonly sites: readonly Site[]
  /** As they should be in the store, by IPv4 subnet, but for the public addresses: those follow the hosts. */
  readonly leases: Map<string, Lease>
  /** From each pod to the next, in a ring: each host is asked by one and asks another. */
  readonly flows: readonly Flow[]
  /** While the store answers. */
  hasStore = true
  /** Notifications that sockets of a flanneld had no room for. */
  overruns = 0
  readonly #stack: AsyncDisposableStack

  private constructor(
    parts: Pick<World, 'segment' | 'store' | 'sites' | 'leases' | 'flows'>,
    stack: AsyncDisposableStack,
  ) {
    this.segment = parts.segment
    this.store = parts.store
    this.sites = parts.sites
    this.leases = parts.leases
    this.flows = parts.flows
    this.#stack = stack
  }

  static async start(kind: EtcdKind): Promise<World> {
    await using stack = new AsyncDisposableStack()
    const tidy = stack.use(new TidyWhenInterrupted())
    const program = copyOfFlanneld(stack)
    tidy.folders.push(dirname(program))
    const segment = stack.use(await Segment.create(HOSTS, 'dual'))
    tidy.folders.push(...segment.hosts.map((host) => host.folder))
    // As on the hosts (site.ts): the store finds one that was away as soon.
    await segment.switch.sh(
      'for family in 4 6; do echo 100 > /proc/sys/net/ipv$family/neigh/br0/retrans_time_ms; done',
    )
    const ipv6 = { EnableIPv6: true, IPv6Network: 'fd44:244::/48', IPv6SubnetMin: 'fd44:244:0:100::' }
    const config = networkConfig({ Type: 'vxlan' }, ipv6)
    const store = stack.use(await TestStore.start(kind, segment, config))
    tidy.folders.push(store.server.folder)
    tidy.store = store
    const sites: Site[] = []
    for (const [index, host] of segment.hosts.entries()) {
      const launch = () => Flanneld.launch(host, store, { args: ARGS, program })
      sites.push(stack.use(await Site.start(host, index + 1, launch)))
    }
    for (const site of sites) await site.settle()
    const flows = FAMILIES.flatMap((family) =>
      sites.map((site, index) => stack.use(Flow.start(family, site, sites[(index + 1) % HOSTS] ?? site))),
    )
    const leases = readLeases(store)
    return new World({ segment, store, sites, leases, flows }, stack.move())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}

/** What is built while this runs is not met in the middle of it. */
function copyOfFlanneld(stack: AsyncDisposableStack): string {
  const folder = stack.adopt(mkdtempSync(join(tmpdir(), 'heddle-chaos-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  )
  const program = join(folder, 'flanneld')
  copyFileSync(FLANNELD, program)
  return program
}

/**
 * Who interrupts this process ends all others of it too, and with them their namespaces go (`setpriv --pdeathsig`). Files
 * are left: they go here.
 */
class TidyWhenInterrupted implements Disposable {
  readonly folders: string[] = []
  store: TestStore | undefined
  readonly #tidy = (): void => {
    this.store?.server.process.signal('SIGKILL')
    for (const folder of this.folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    process.exit(130)
  }

  constructor() {
    for (const signal of INTERRUPTS) process.on(signal, this.#tidy)
  }

  [Symbol.dispose](): void {
    for (const signal of INTERRUPTS) process.off(signal, this.#tidy)
  }
}
