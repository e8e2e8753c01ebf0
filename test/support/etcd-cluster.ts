// Three members of etcd with mutual TLS on machines of the segment, and what befalls such a cluster: members killed,
// wiped, frozen, cut off; compaction, defragmentation, a snapshot restored; certificates renewed.
// `await using cluster = await EtcdCluster.start(segment, config)`.
import { rmSync } from 'node:fs'
import { ClusterCertificates } from './tls-files.ts'
import { CONFIG_KEY, EtcdKeys } from './etcd-keys.ts'
import { leaderOf } from './etcd-leader.ts'
import { EtcdMember, type EtcdVersion, type Launch } from './etcd-member.ts'
import type { TestHost } from './kernel.ts'
import { eventually } from './process.ts'
import { addressOf, type Host, type Segment } from './segment.ts'

const NUMBERS = [201, 202, 203]
const nameOf = (number: number): string => `m${number - 200}`

export interface ClusterOptions {
  readonly version?: EtcdVersion
}
export interface RestoreOptions {
  /** The cluster id is another from then on, as when an operator builds a new cluster of it. */
  readonly isNew?: boolean
  /** By how much the revision goes beyond the snapshot's, as the handbook advises for stores that are watched; 3.6 only. */
  readonly bumpRevision?: number
}

export class EtcdCluster extends EtcdKeys implements AsyncDisposable {
  readonly members: readonly EtcdMember[]
  readonly certificates: ClusterCertificates
  /** Where etcdctl runs. */
  readonly #console: TestHost
  #life = 1

  private constructor(members: readonly EtcdMember[], certificates: ClusterCertificates, console: TestHost) {
    super()
    this.members = members
    this.certificates = certificates
    this.#console = console
  }

  /** All members serve; with a network config unless it is undefined. */
  static async start(
    segment: Segment,
    config?: string,
    { version = '3.6' }: ClusterOptions = {},
  ): Promise<EtcdCluster> {
    await using stack = new AsyncDisposableStack()
    const certificates = stack.use(
      new ClusterCertificates(new Map(NUMBERS.map((number) => [nameOf(number), [addressOf(number)]]))),
    )
    const members: EtcdMember[] = []
    for (const number of NUMBERS) {
      const machine = await segment.addMachine(number)
      const [name, ip] = [nameOf(number), addressOf(number)]
      members.push(stack.use(await EtcdMember.create(name, ip, machine, version, certificates.member(name))))
    }
    const cluster = new EtcdCluster(members, certificates, segment.switch)
    await cluster.up()
    if (config !== undefined) cluster.put(CONFIG_KEY, config)
    stack.move()
    return cluster
  }

  /** All members', with commas. */
  get endpoint(): string {
    return this.members.map(({ endpoint }) => endpoint).join()
  }

  /** The same from another member on: which one a client asks first. */
  endpointsFrom(member: EtcdMember): string {
    const at = this.members.indexOf(member)
    return [...this.members.slice(at), ...this.members.slice(0, at)].map(({ endpoint }) => endpoint).join()
  }

  /** What flanneld wants besides. */
  get flags(): readonly string[] {
    const { ca, cert, key } = this.certificates.client
    return [`--etcd-cafile=${ca}`, `--etcd-certfile=${cert}`, `--etcd-keyfile=${key}`]
  }

  /** m1, m2 or m3. */
  member(number: number): EtcdMember {
    const member = this.members[number - 1]
    if (member === undefined) throw new Error(`the cluster has no member m${number}`)
    return member
  }

  /** Who leads now, waiting out an election. */
  async leader(): Promise<EtcdMember> {
    const ask = () => {
      const answering = this.members.filter(({ answers }) => answers)
      return leaderOf(answering, this.#console, (member) => this.#flagsFor([member]))
    }
    return eventually('the cluster has a leader that all know', ask, 20)
  }

  async followers(): Promise<readonly EtcdMember[]> {
    const leader = await this.leader()
    return this.members.filter((member) => member !== leader)
  }

  /** Makes that member the leader. */
  async lead(member: EtcdMember): Promise<void> {
    const leader = await this.leader()
    if (leader === member) return
    const id = this.#idOf(member)
    await this.#console.sh(`ETCDCTL_API=3 etcdctl ${this.#flagsFor([leader]).join(' ')} move-leader ${id}`)
    await this.leader()
  }

  /** Starts all that don't run, and waits until all serve. */
  async up(...members: readonly EtcdMember[]): Promise<void> {
    const down = (members.length === 0 ? this.members : members).filter(({ running }) => !running)
    for (const member of down) member.start(this.#launch('new'))
    await Promise.all(down.map((member) => member.serving()))
  }

  /** One after the other, as for new options or a new CA; by SIGKILL, for 3.6 waits 6 s for open watches at SIGTERM. */
  async restartInTurn(): Promise<void> {
    for (const member of this.members) {
      await member.kill()
      await this.up(member)
      await this.leader()
    }
  }

  /** A member that lost its files, put right as the handbook says: removed, added anew, started empty. */
  async replace(member: EtcdMember): Promise<void> {
    await member.kill()
    member.wipe()
    const id = this.#idOf(member)
    // A change of members is refused until all others have been connected for a while.
    await this.#untilDone(() => this.etcdctl('member', 'remove', id))
    await this.#untilDone(() => this.etcdctl('member', 'add', member.name, `--peer-urls=${member.peerUrl}`))
    member.start(this.#launch('existing'))
    await member.serving()
  }

  /** All members at once lose all; `up` then begins an empty cluster, with another cluster id if it is new. */
  async wipe({ isNew = false } = {}): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
    if (isNew) this.#life++
    for (const member of this.members) member.wipe()
  }

  /** One member after the other; each answers nothing meanwhile. */
  defragment(): void {
    this.etcdctl('defrag')
  }

  /** Saves the whole store; the file's path, to be given to `restore`. */
  async snapshot(): Promise<string> {
    const file = `/dev/shm/heddle-test-snapshot-${process.pid}-${performance.now()}`
    const [member] = this.members.filter(({ answers }) => answers)
    if (member === undefined) throw new Error('no member answers')
    await this.#console.sh(
      `ETCDCTL_API=3 etcdctl ${this.#flagsFor([member]).join(' ')} snapshot save ${file}`,
    )
    return file
  }

  /** Kills all members, and begins all anew with what the snapshot tells; its file goes. */
  async restore(snapshot: string, { isNew = false, bumpRevision }: RestoreOptions = {}): Promise<void> {
    await Promise.all(this.members.filter(({ running }) => running).map((member) => member.kill()))
    if (isNew) this.#life++
    const bump = bumpRevision === undefined ? [] : ['--bump-revision', `${bumpRevision}`, '--mark-compacted']
    const launch = this.#launch('new')
    await Promise.all(this.members.map((member) => member.restore(snapshot, launch, bump)))
    rmSync(snapshot)
    await this.up()
  }

  /** Nothing passes between the host and those members, all of them unless told, and nobody is told. */
  async cut(host: Host, ...members: readonly EtcdMember[]): Promise<void> {
    for (const member of members.length === 0 ? this.members : members) await member.cut(host.ip)
  }

  async mend(host: Host, ...members: readonly EtcdMember[]): Promise<void> {
    for (const member of members.length === 0 ? this.members : members) await member.mend(host.ip)
  }

  /** The member alone among the others; clients still reach it. */
  async isolate(member: EtcdMember): Promise<void> {
    for (const other of this.members) if (other !== member) await member.cut(other.ip)
  }

  async rejoin(member: EtcdMember): Promise<void> {
    for (const other of this.members) if (other !== member) await member.mend(other.ip)
  }

  /** Members that the host has a connection to, in the order of their names. */
  async connectedTo(host: Host): Promise<readonly EtcdMember[]> {
    const sockets = await host.sh('ss -Htn state established')
    return this.members.filter(({ ip }) => sockets.includes(`${ip}:2379`))
  }

  protected access() {
    const members = this.members.filter(({ answers }) => answers)
    return { host: this.#console, flags: this.#flagsFor(members) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.members) await member[Symbol.asyncDispose]()
    this.certificates[Symbol.dispose]()
  }

  #flagsFor(members: readonly EtcdMember[]): string[] {
    const { ca, cert, key } = this.certificates.client
    return [
      `--endpoints=${members.map(({ endpoint }) => endpoint).join()}`,
      `--cacert=${ca}`,
      `--cert=${cert}`,
      `--key=${key}`,
    ]
  }

  #idOf(member: EtcdMember): string {
    const list = this.etcdctl('member', 'list')
    const id = new RegExp(`^(\\w+), \\w+, ${member.name},`, 'm').exec(list)?.[1]
    if (id === undefined) throw new Error(`the cluster does not list ${member.name}: ${list}`)
    return id
  }

  #launch(state: Launch['state']): Launch {
    const cluster = this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join()
    return { cluster, token: `life-${this.#life}`, state }
  }

  async #untilDone(act: () => void): Promise<void> {
    let last: unknown
    const attempt = () => {
      try {
        act()
        return true
      } catch (error) {
        last = error
        return undefined
      }
    }
    await eventually('the change of members', attempt, 20).catch((error: unknown) => {
      throw new Error(String(error), { cause: last })
    })
  }
}
