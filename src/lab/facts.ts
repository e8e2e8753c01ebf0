// What a lab tells about itself: the same facts for people and, as JSON, for programs.
import type { Family } from '../model/ip.ts'
import type { DaemonStatus } from './host.ts'
import type { KernelFacts } from './kernel.ts'
import type { LabParameters } from './plan.ts'
import type { LeaseFact } from './store.ts'

export interface ProcessFact {
  readonly running: boolean
  readonly pid: number | undefined
}
export interface PodFact {
  readonly name: string
  /** One a family, IPv4 first; none while the pod has no network. */
  readonly ips: readonly string[]
}
export interface HostFact {
  readonly name: string
  /** On the underlay, one a family, IPv4 first. */
  readonly addresses: readonly string[]
  /** The host's part of the network, one a family, as subnet.env has them. */
  readonly subnets: readonly string[]
  readonly daemon: ProcessFact & {
    /** `heddle`, or the path of another flanneld. */
    readonly program: string
    /** heddle's own word; of another flanneld only that it has its subnet. */
    readonly ready: boolean
    /** Why it isn't, in words, where that is known. */
    readonly lacking: string | undefined
    /** What `GET /status` answers. */
    readonly status: DaemonStatus | undefined
  }
  readonly pods: readonly PodFact[]
  /** What of its pods' links is not as the CNI plugin made it, e.g. `h1 has no cni0`. */
  readonly problems: readonly string[]
  readonly kernel: KernelFacts | undefined
}
export interface LabFacts {
  readonly directory: string
  readonly parameters: LabParameters
  /** False after an interrupted or failed `up`. */
  readonly complete: boolean
  /** Prefixes, one a family, IPv4 first. */
  readonly underlay: readonly string[]
  /** Addresses, likewise. */
  readonly outside: readonly string[]
  readonly store: ProcessFact & { readonly kind: string; readonly endpoint: string }
  readonly hosts: readonly HostFact[]
  /** As the store has them; absent if it does not answer. */
  readonly leases: readonly LeaseFact[] | undefined
}

/** One way between two pods, by one family. */
export interface PairFact {
  readonly family: Family
  readonly from: string
  readonly to: string
  /** Round trips; absent where there was no answer. */
  readonly icmpMs: number | undefined
  readonly tcpMs: number | undefined
  /** The caller's address as the other pod sees it: the pod's own, if nothing translates it. */
  readonly seen: string | undefined
  readonly expected: string
  readonly ok: boolean
  readonly problem: string | undefined
}
export interface ProofFacts {
  readonly ok: boolean
  readonly pairs: readonly PairFact[]
  /** From each pod to the outside: `expected` is the address of the pod's host. */
  readonly outside: readonly PairFact[]
}
export interface LabReport extends LabFacts {
  readonly proof: ProofFacts | undefined
  readonly seconds: number
}
