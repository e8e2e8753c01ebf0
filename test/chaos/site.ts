// One host of the lab: where its interface between hosts is now, its flanneld, its pod, other people's things on it.
import { readFileSync } from 'node:fs'
import type { Flanneld } from '../support/flanneld.ts'
import { ipv6Of, STORE_IP, type Host } from '../support/segment.ts'
import { Shell } from '../support/shell.ts'
import { FAMILIES, type Family } from './family.ts'
import { foreignObjects } from './foreign.ts'
import { snapshot } from './snapshot.ts'

/** The interface between hosts as it should be found. */
export interface Underlay {
  name: string
  readonly ip: Record<Family, string>
  mtuBytes: number
}

export class Site implements AsyncDisposable {
  readonly host: Host
  readonly number: number
  readonly shell: Shell
  readonly underlay: Underlay
  #flanneld: Flanneld | undefined
  /** Objects of other people's on this host, by their lines. */
  readonly foreign = new Set<string>()
  /** What heddle's nf_tables tables were at the start, by their lines. */
  readonly tables = new Set<string>()
  readonly #launch: () => Flanneld
  #foreignSets = 0

  private constructor(host: Host, number: number, shell: Shell, launch: () => Flanneld) {
    this.host = host
    this.number = number
    this.shell = shell
    this.underlay = { name: 'eth0', ip: { ipv4: host.ip, ipv6: host.ipv6 }, mtuBytes: 1500 }
    this.#launch = launch
  }

  /** With other people's things, and then a flanneld on the way up. */
  static async start(host: Host, number: number, launch: () => Flanneld): Promise<Site> {
    await using stack = new AsyncDisposableStack()
    const site = new Site(host, number, stack.use(Shell.open(host.namespace)), launch)
    await site.shell.run(site.addressing)
    await site.addForeign()
    site.launch()
    stack.move()
    return site
  }

  get name(): string {
    return this.host.name
  }

  get flanneld(): Flanneld {
    if (this.#flanneld === undefined) throw new Error(`${this.name} has no flanneld yet`)
    return this.#flanneld
  }

  /** Another flanneld, the one before having ended. */
  launch(): void {
    this.#flanneld = this.#launch()
  }

  /**
   * What a host's network service sees to whenever the interface is another, or up again. Neighbours on the segment are
   * asked for again ten times a second and told of a new MAC: else the kernel alone takes seconds to find a host again.
   */
  get addressing(): string {
    const { name, ip } = this.underlay
    return `
      for family in 4 6; do echo 100 > /proc/sys/net/ipv$family/neigh/${name}/retrans_time_ms; done
      echo 1 > /proc/sys/net/ipv4/conf/${name}/arp_notify
      echo 1 > /proc/sys/net/ipv6/conf/${name}/ndisc_notify
      ip address replace ${ip.ipv4}/24 dev ${name}
      ip address replace ${ip.ipv6}/64 dev ${name} nodad
      ip route replace default via ${STORE_IP} dev ${name}
      ip -6 route replace default via ${ipv6Of(254)} dev ${name}`
  }

  /** One more set of other people's things; heddle must not be at work meanwhile, else it could take some of it away unseen. */
  async addForeign(): Promise<void> {
    const number = this.#foreignSets++
    const name = `foreign${number}`
    await this.shell.run(foreignObjects(name, number))
    for (const { line } of await snapshot(this.shell)) if (line.includes(name)) this.foreign.add(line)
  }

  /** The address of its pod. */
  podIp(family: Family): string {
    return this.host.pods[0]?.ips[FAMILIES.indexOf(family)] ?? ''
  }

  /** Once its flanneld is ready: notes what that has made, and adds a pod. */
  async settle(): Promise<void> {
    await this.flanneld.ready()
    for (const { kind, line } of await snapshot(this.shell))
      if (kind === 'table' && line.includes('flannel-ip')) this.tables.add(line)
    await this.host.pod()
  }

  /** Notifications so far that the netlink sockets of this host had no room for, its flanneld's among them. */
  overruns(): number {
    const [, ...sockets] = readFileSync(`/proc/${this.flanneld.process.pid}/net/netlink`, 'utf8')
      .trim()
      .split('\n')
    return sockets.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[8]), 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flanneld?.[Symbol.asyncDispose]()
    await this.shell[Symbol.asyncDispose]()
  }
}
