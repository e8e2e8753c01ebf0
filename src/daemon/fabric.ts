// From leases to wishes: every peer's lease becomes the kernel objects that reach it, our own the devices, their
// addresses and the firewall. The reconciler does the rest.
import type { Self, Underlay } from '../backend/backend.ts'
import type { ConfiguredBackend } from '../backend/list.ts'
import type { Reconciler } from '../dataplane/reconciler.ts'
import { firewallTables, type FirewallOptions } from '../firewall/rules.ts'
import { subnetsOf, type Lease, type SubnetKey } from '../model/lease.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import type { LeaseChange, LeaseTable } from '../store/lease-table.ts'
import { log } from '../sys/log.ts'

const logger = log.from('fabric.ts')

export interface FabricParts {
  readonly reconciler: Reconciler
  readonly backend: ConfiguredBackend
  readonly underlay: Underlay
  readonly table: LeaseTable
  readonly config: NetworkConfig
  readonly firewall: FirewallOptions
}

export class Fabric {
  readonly #parts: FabricParts
  #self: Self
  /** Peers that this host's back end can't reach, and why. */
  readonly #unreachable = new Map<SubnetKey, string>()

  constructor(parts: FabricParts, self: Self) {
    this.#parts = parts
    this.#self = self
    this.#wantOwn()
  }

  /** All the leases in use. */
  peers(): readonly Lease[] {
    return [...this.#parts.table.peers.values()]
  }

  /** Leases that aren't programmed, wholly or in part, and why. */
  refused(): ReadonlyMap<string, string> {
    return new Map([...this.#parts.table.refused, ...this.#unreachable])
  }

  apply(changes: readonly LeaseChange[]): void {
    for (const change of changes)
      if (change.kind === 'put') this.#want(change.lease)
      else this.#drop(change.key)
  }

  /** Our own lease is another now: new subnets, new addresses, new rules. */
  move(lease: Lease): void {
    this.#self = { ...this.#self, subnets: subnetsOf(lease) }
    this.#wantOwn()
    this.apply(this.#parts.table.reconfigure(this.#parts.config, lease))
    this.replan()
  }

  /** The underlay's routes or links changed: which peers are on link is decided again. */
  replan(): void {
    for (const lease of this.#parts.table.peers.values()) this.#want(lease)
  }

  #wantOwn(): void {
    const { reconciler, backend, config, firewall } = this.#parts
    reconciler.want('devices', backend.devices(this.#self))
    const networks = [config.ipv4, config.ipv6].flatMap((range) =>
      range === undefined
        ? []
        : this.#self.subnets
            .filter((subnet) => subnet.includes(':') === range.network.includes(':'))
            .map((subnet) => ({ network: range.network, subnet })),
    )
    reconciler.want('firewall', firewallTables(firewall, networks))
  }

  #want(lease: Lease): void {
    const reach = this.#parts.backend.reach(lease, this.#self, this.#parts.underlay)
    if (reach.kind === 'unreachable') {
      if (this.#unreachable.get(lease.key) !== reach.reason)
        logger.warning(`lease ${lease.key} is not programmed: ${reach.reason}`, {
          key: `unreachable ${lease.key}`,
        })
      this.#parts.reconciler.forget(sourceOf(lease.key))
      this.#unreachable.set(lease.key, reach.reason)
      return
    }
    this.#unreachable.delete(lease.key)
    this.#parts.reconciler.want(sourceOf(lease.key), reach.objects, lease.createRevision)
  }

  #drop(key: SubnetKey): void {
    this.#unreachable.delete(key)
    this.#parts.reconciler.forget(sourceOf(key))
  }
}

const sourceOf = (key: SubnetKey): string => `lease ${key}`
