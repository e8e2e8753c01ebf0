// From leases to wishes: every peer's lease becomes the kernel objects that reach it, our own the devices, their
// addresses and the firewall. The reconciler does the rest.
import type { Refusal, Self, Underlay } from '../backend/backend.ts'
import { familiesOf, NAME } from '../backend/peer.ts'
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { UnderlayWatch } from '../dataplane/underlay.ts'
import { blackhole, type KernelObject } from '../model/kernel.ts'
import type { Lease, SubnetKey } from '../model/lease.ts'
import type { Surroundings } from '../model/surroundings.ts'
import type { LeaseChange, LeaseTable } from '../store/lease-table.ts'
import { log } from '../sys/log.ts'
import type { Firewall } from './firewall.ts'
import type { Network } from './network.ts'
import type { Paths } from './paths/paths.ts'

const logger = log.from('fabric.ts')
/** Refusals that are named one by one. */
const MOST_TOLD = 10

export interface FabricParts {
  readonly reconciler: Pick<Reconciler, 'want' | 'forget'>
  readonly underlay: UnderlayWatch
  readonly table: LeaseTable
  readonly network: Network
  readonly firewall: Pick<Firewall, 'objects'>
  /** Of each device by name: whether its checksum offload is to be on; undefined: as it is. */
  readonly offload: { wishFor(device: string): boolean | undefined }
  readonly paths: Paths
  /** Whether packets to addresses of our own subnets that no pod has end here (`--ip-blackhole-route`). */
  readonly blackhole: boolean
}

export class Fabric {
  readonly #parts: FabricParts
  readonly #ways: Underlay
  #self: Self
  /** Peers that this host's back end can't reach, by one family at least, and why. */
  readonly #unreachable = new Map<SubnetKey, readonly Refusal[]>()
  /** Why leases aren't programmed, wholly or in part, as the log has told it. */
  readonly #refused = new Map<string, string>()

  /** Told when this host has become another. */
  onBecome: () => void = () => undefined

  constructor(parts: FabricParts, self: Self) {
    this.#parts = parts
    this.#ways = {
      isOnLink: (ip, link) => parts.underlay.isOnLink(ip, link),
      tunnelMtuBytes: (subnet) => parts.paths.tunnelMtuBytes(subnet),
    }
    this.#self = self
    this.#wantOwn()
  }

  /** All the leases in use. */
  peers(): readonly Lease[] {
    return [...this.#parts.table.peers.values()]
  }

  /** Leases that aren't programmed, wholly or in part, and why. */
  refused(): ReadonlyMap<string, string> {
    return this.#refused
  }

  #reasonAgainst(key: string): string | undefined {
    const { table } = this.#parts
    const invalid = table.refusalOf(key)
    const refusals = this.#unreachable.get(key as SubnetKey)
    if (refusals === undefined) return invalid
    const peer = table.peers.get(key as SubnetKey)
    // A half that the table took away is missing for the table's reason.
    const own = refusals.filter(({ family }) => invalid === undefined || peer?.[family] !== undefined)
    return [...(invalid === undefined ? [] : [invalid]), ...wordsFor(own, this.#self)].join('; ')
  }

  /** Peers in use that share their PublicIP with another: at most one of them can be right. */
  doubtful(): ReadonlyMap<string, string> {
    return this.#parts.table.doubtful
  }

  apply(changes: readonly LeaseChange[]): void {
    this.#foresee(changes.flatMap((change) => (change.kind === 'put' ? [change.lease] : [])))
    for (const change of changes)
      if (change.kind === 'put') this.#want(change.lease)
      else this.#drop(change.key)
    this.#complain(changes.map((change) => (change.kind === 'put' ? change.lease.key : change.key)))
    if (changes.some(({ kind }) => kind === 'gone')) this.#clamp()
  }

  /**
   * This host is another to its kernel or peers: by its lease, its interface or the network config. Other devices,
   * addresses and rules; other peers may be refused, and others reached in another way.
   */
  become(self: Self, own: Lease): void {
    this.#self = self
    this.#wantOwn()
    for (const change of this.#parts.table.reconfigure(this.#parts.network.config, own))
      if (change.kind === 'gone') this.#drop(change.key)
    this.replan()
    this.onBecome()
  }

  /** Paths to these peers carry something else than before. */
  reroute(keys: readonly SubnetKey[]): void {
    for (const key of keys) {
      const lease = this.#parts.table.peers.get(key)
      if (lease !== undefined) this.#want(lease)
    }
    this.#clamp()
  }

  #clamp(): void {
    this.#parts.reconciler.want('mss', this.#parts.paths.tables())
  }

  /** Something else is wished of this host's own devices. */
  equip(): void {
    this.#wantOwn()
  }

  /** What this host's links are connected to is another: peers whose subnets lie there are refused. */
  surround(surroundings: Surroundings): void {
    this.apply(this.#parts.table.surround(surroundings))
  }

  /** The underlay's routes or links changed: which peers are on link is decided again. */
  replan(): void {
    const { peers } = this.#parts.table
    this.#foresee([...peers.values()])
    for (const lease of peers.values()) this.#want(lease)
    this.#complain(peers.keys())
  }

  #foresee(peers: readonly Lease[]): void {
    const ips = peers.flatMap(({ ipv4, ipv6 }) => [ipv4?.publicIp, ipv6?.publicIp])
    this.#parts.underlay.foresee(ips.filter((ip) => ip !== undefined))
  }

  #wantOwn(): void {
    const { reconciler, network, firewall, paths, blackhole: hasBlackhole } = this.#parts
    const { backend, config } = network
    const devices = backend.devices(this.#self).map((object) => this.#equipped(object))
    reconciler.want('devices', devices)
    paths.own(devices)
    this.#clamp()
    reconciler.want('blackhole', hasBlackhole ? this.#self.subnets.map((subnet) => blackhole(subnet)) : [])
    reconciler.want('firewall', firewall.objects(config, this.#self.subnets))
  }

  #equipped(object: KernelObject): KernelObject {
    if (object.kind !== 'link') return object
    const checksumOffload = this.#parts.offload.wishFor(object.name)
    return checksumOffload === undefined ? object : { ...object, checksumOffload }
  }

  #want(lease: Lease): void {
    const { reconciler, network, paths } = this.#parts
    const { objects, refusals } = network.backend.reach(lease, this.#self, this.#ways)
    paths.peer(lease.key, objects)
    if (refusals.length > 0) this.#unreachable.set(lease.key, refusals)
    else this.#unreachable.delete(lease.key)
    if (objects.length > 0) reconciler.want(sourceOf(lease.key), objects, lease.createRevision)
    else reconciler.forget(sourceOf(lease.key))
  }

  /** Each refusal once, and again when its reason is another; a store full of them is one line more. */
  #complain(touched: Iterable<string>): void {
    const fresh: [key: string, reason: string][] = []
    for (const keys of [touched, this.#parts.table.takeStirred()])
      for (const key of keys) {
        const reason = this.#reasonAgainst(key)
        if (reason === undefined) this.#refused.delete(key)
        else if (reason !== this.#refused.get(key)) {
          this.#refused.set(key, reason)
          fresh.push([key, reason])
        }
      }
    for (const [key, reason] of fresh.slice(0, MOST_TOLD))
      logger.warning(
        `lease ${key} is ${this.#isUsed(key) ? 'used in part' : 'refused'}, and nothing else changes: ${reason}`,
      )
    if (fresh.length > MOST_TOLD)
      logger.warning(`${fresh.length - MOST_TOLD} more leases are refused; /status names them`, {
        key: 'more',
      })
  }

  /** Whether the peer is reached by one family at least. */
  #isUsed(key: string): boolean {
    const refusals = this.#unreachable.get(key as SubnetKey) ?? []
    return this.#parts.table.peers.has(key as SubnetKey) && refusals.length < familiesOf(this.#self).length
  }

  #drop(key: SubnetKey): void {
    this.#unreachable.delete(key)
    this.#parts.paths.peer(key, [])
    this.#parts.reconciler.forget(sourceOf(key))
  }
}

/** What all families have in common is said once; what one of several has, with its name. */
function wordsFor(refusals: readonly Refusal[], self: Self): string[] {
  const reasons = [...new Set(refusals.map(({ reason }) => reason))]
  return refusals.length === familiesOf(self).length && reasons.length === 1
    ? reasons
    : refusals.map(({ family, reason }) => `not reached by ${NAME[family]}: ${reason}`)
}

const sourceOf = (key: SubnetKey): string => `lease ${key}`
