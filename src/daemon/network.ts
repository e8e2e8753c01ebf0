// The network config in force, and what of another one can be put in force while the daemon runs: everything but what
// leases that exist were made by. Pure.
import type { ConfiguredBackend } from '../backend/list.ts'
import type { NetworkConfig, NetworkRange } from '../model/net-config.ts'
import { FAMILIES } from '../model/ip.ts'
import { subnetsOf, type Lease } from '../model/lease.ts'
import { familyOfPrefix, lengthOf } from '../model/prefix.ts'

/** A config with its back end. */
export interface Usable {
  readonly config: NetworkConfig
  readonly backend: ConfiguredBackend
}

export type Judgement =
  | { readonly kind: 'same' }
  /** `kept`: what leases that exist keep although the config says otherwise now, in words. */
  | { readonly kind: 'apply'; readonly what: readonly string[]; readonly kept: readonly string[] }
  | { readonly kind: 'refuse'; readonly reason: string }

/** Shared by all parts of the daemon; whoever keeps anything derived from it is told when it changes. */
export class Network {
  #inUse: Usable

  constructor(first: Usable) {
    this.#inUse = first
  }
  get config(): NetworkConfig {
    return this.#inUse.config
  }
  get backend(): ConfiguredBackend {
    return this.#inUse.backend
  }
  change(next: Usable): void {
    this.#inUse = next
  }
}

/** `own`: this host's lease. */
export function judge(inUse: NetworkConfig, next: NetworkConfig, own: Lease): Judgement {
  for (const family of FAMILIES) {
    const [was, is] = [inUse[family]?.network, next[family]?.network]
    if (was !== is)
      return {
        kind: 'refuse',
        reason: `${family === 'ipv4' ? 'Network' : 'IPv6Network'} is ${is ?? 'switched off'} now, but the leases and pods of this host are in ${was ?? 'no such network'}: restart flanneld, and then the pods, host by host, to move them`,
      }
  }
  if (inUse.backendType !== next.backendType)
    return {
      kind: 'refuse',
      reason: `Backend.Type is ${next.backendType} now, and this host's devices are those of ${inUse.backendType}: restart flanneld on all hosts to change over`,
    }
  const what = [
    ...rangeChanges('', inUse.ipv4, next.ipv4),
    ...rangeChanges('IPv6', inUse.ipv6, next.ipv6),
    ...backendChanges(inUse.backend, next.backend),
    ...(inUse.enableNFTables === next.enableNFTables ? [] : [`EnableNFTables ${next.enableNFTables}`]),
    ...(sparedText(inUse) === sparedText(next) ? [] : [`NonMasqueradeCIDRs ${sparedText(next) || 'none'}`]),
  ]
  return what.length === 0 ? { kind: 'same' } : { kind: 'apply', what, kept: keptBy(own, next) }
}

const sparedText = ({ nonMasqueradeCidrs = [] }: NetworkConfig): string => nonMasqueradeCidrs.join(', ')

function rangeChanges(name: string, was: NetworkRange | undefined, is: NetworkRange | undefined): string[] {
  if (was === undefined || is === undefined) return []
  const length = was.subnetLength === is.subnetLength ? [] : [`${name}SubnetLen ${is.subnetLength}`]
  const bounds =
    was.min === is.min && was.max === is.max ? [] : [`${name}SubnetMin ${is.min}, ${name}SubnetMax ${is.max}`]
  return [...length, ...bounds]
}

function backendChanges(was: NetworkConfig['backend'], is: NetworkConfig['backend']): string[] {
  const names = new Set([...Object.keys(was), ...Object.keys(is)])
  return [...names]
    .filter((name) => JSON.stringify(was[name]) !== JSON.stringify(is[name]))
    .map((name) => `Backend.${name} ${is[name] === undefined ? 'by default' : JSON.stringify(is[name])}`)
}

function keptBy(own: Lease, next: NetworkConfig): string[] {
  return subnetsOf(own).flatMap((subnet) => {
    const length = next[familyOfPrefix(subnet)]?.subnetLength
    return length === undefined || length === lengthOf(subnet)
      ? []
      : [`this host keeps its ${subnet}; only new leases are a /${length}`]
  })
}
