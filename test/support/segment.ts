// Hosts on one Ethernet segment: namespaces joined by a bridge in a namespace of its own. Stores listen on the
// segment at `STORE_IP`; pods hang on each host's cni0, as the CNI plugin would put them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Namespace } from '../../src/sys/namespace.ts'
import { TestHost } from './kernel.ts'

export const STORE_IP = '192.168.100.254'
export const POD_NETWORK = '10.244.0.0/16'

/** The address on the segment of the machine with that number. */
export const addressOf = (number: number): string => `192.168.100.${number}`
/** Of a segment with IPv6 too. */
export const ipv6Of = (number: number): string => `fd00:100::${number.toString(16)}`
const SWITCH_IPV6 = ipv6Of(254)

export class Segment implements AsyncDisposable {
  readonly switch: TestHost
  readonly hosts: Host[] = []
  readonly #machines: TestHost[] = []
  readonly #hasIPv6: boolean

  private constructor(hasIPv6: boolean) {
    this.#hasIPv6 = hasIPv6
    this.switch = new TestHost(Namespace.create())
  }

  /**
   * Hosts h1, h2, … at 192.168.100.1, .2, … on eth0, forwarding, their default route through the segment; with `dual` at
   * fd00:100::1, ::2, … too.
   */
  static async create(count = 2, families: 'ipv4' | 'dual' = 'ipv4'): Promise<Segment> {
    const segment = new Segment(families === 'dual')
    await segment.switch.sh(
      `ip link set lo up; ip link add br0 type bridge; ip link set br0 up; ip addr add ${STORE_IP}/24 dev br0`,
    )
    if (segment.#hasIPv6) await segment.switch.sh(`ip addr add ${SWITCH_IPV6}/64 dev br0 nodad`)
    for (let number = 1; number <= count; number++) await segment.addHost(number)
    return segment
  }

  async addHost(number: number): Promise<Host> {
    const host = new Host(number)
    this.hosts.push(host)
    await this.#plug(host, number)
    await host.sh(`echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add default via ${STORE_IP}`)
    if (this.#hasIPv6)
      await host.sh(`
        echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
        ip addr add ${host.ipv6}/64 dev eth0 nodad; ip route add default via ${SWITCH_IPV6} dev eth0
      `)
    return host
  }

  /** Another machine at 192.168.100.<number>, such as a member of a store: no host of the network. */
  async addMachine(number: number): Promise<TestHost> {
    const machine = new TestHost(Namespace.create())
    this.#machines.push(machine)
    await this.#plug(machine, number)
    return machine
  }

  async #plug(machine: TestHost, number: number): Promise<void> {
    // Without duplicate address detection a link-local address is settled at once, not in the middle of a test.
    await machine.sh(`
      for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done
      ip link set lo up
    `)
    await this.switch.sh(
      `ip link add port${number} type veth peer name eth0 netns ${machine.namespace.path}; ip link set port${number} master br0 up`,
    )
    await machine.sh(`ip addr add ${addressOf(number)}/24 dev eth0; ip link set eth0 up`)
  }

  /** Host h<number>. */
  host(number: number): Host {
    const host = this.hosts[number - 1]
    if (host === undefined) throw new Error(`the segment has no host h${number}`)
    return host
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of [...this.hosts, ...this.#machines]) await host[Symbol.asyncDispose]()
    await this.switch[Symbol.asyncDispose]()
  }
}

export class Host extends TestHost {
  readonly name: string
  readonly ip: string
  /** Where the segment has IPv6. */
  readonly ipv6: string
  /** For this host's files: subnet.env, the status socket. */
  readonly folder: string
  readonly pods: Pod[] = []

  constructor(number: number) {
    super(Namespace.create())
    this.name = `h${number}`
    this.ip = addressOf(number)
    this.ipv6 = ipv6Of(number)
    this.folder = mkdtempSync(join(tmpdir(), `heddle-test-h${number}-`))
  }

  get subnetFile(): string {
    return join(this.folder, 'subnet.env')
  }

  get stateDir(): string {
    return join(this.folder, 'state')
  }

  get statusSocket(): string {
    return join(this.folder, 'flanneld.sock')
  }

  /** A value of subnet.env, such as FLANNEL_SUBNET. */
  subnetValue(name: string): string {
    const value = new RegExp(`^${name}=(.*)$`, 'm').exec(readFileSync(this.subnetFile, 'utf8'))?.[1]
    if (value === undefined) throw new Error(`${this.subnetFile} tells no ${name}`)
    return value
  }

  /** This host's own address on cni0: 10.244.7.1 where the lease is 10.244.7.0/24. */
  get podGateway(): string {
    return this.subnetValue('FLANNEL_SUBNET').replace(/\/\d+$/, '')
  }

  /** The leased subnet, 10.244.7.0/24. */
  get subnet(): string {
    return this.subnetValue('FLANNEL_SUBNET').replace(/\.1\//, '.0/')
  }

  /** This host's own addresses on cni0, one a family of the network, with their lengths. */
  get #gateways(): string[] {
    const text = readFileSync(this.subnetFile, 'utf8')
    return [...text.matchAll(/^FLANNEL_(?:IPV6_)?SUBNET=(.*)$/gm)].map(([, gateway = '']) => gateway)
  }

  /** A pod on cni0 by hand; flanneld must have written subnet.env. */
  async pod(): Promise<Pod> {
    const gateways = this.#gateways
    const mtu = this.subnetValue('FLANNEL_MTU')
    const last = 10 + this.pods.length
    const pod = new Pod(gateways.map((gateway) => gateway.replace(/1\/\d+$/, `${last}`)))
    const port = `pod${this.pods.length}`
    const add = (cidr: string, where: string) =>
      `ip addr add ${cidr} dev ${where}${cidr.includes(':') ? ' nodad' : ''}`
    if (this.pods.length === 0)
      await this.sh(
        `ip link add cni0 mtu ${mtu} type bridge; ${gateways.map((each) => add(each, 'cni0')).join('; ')}; ip link set cni0 up`,
      )
    this.pods.push(pod)
    await this.sh(
      `ip link add ${port} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${pod.namespace.path}; ip link set ${port} master cni0 up`,
    )
    const ways = gateways.map((gateway, index) => {
      const [via = '', length = ''] = gateway.split('/')
      return `${add(`${pod.ips[index]}/${length}`, 'eth0')}; ip route add default via ${via} dev eth0`
    })
    await pod.sh(`ip link set lo up; ip link set eth0 up; ${ways.join('; ')}`)
    return pod
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.pods) await pod[Symbol.asyncDispose]()
    await super[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Pod extends TestHost {
  /** One a family of the network, IPv4 first. */
  readonly ips: readonly string[]

  constructor(ips: readonly string[]) {
    super(Namespace.create())
    this.ips = ips
  }

  /** The first of them. */
  get ip(): string {
    return this.ips[0] ?? ''
  }

  /** Whether `ip` answers one echo request within `seconds`. */
  async reaches(ip: string, seconds = 1): Promise<boolean> {
    try {
      await this.sh(`ping -n -q -c 1 -W ${seconds} ${ip}`)
      return true
    } catch {
      return false
    }
  }
}
