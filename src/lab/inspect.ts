// Looks at a lab as it is: processes, leases, what each host says and what its kernel holds.
import type { LabDirectory, LabRecord } from './directory.ts'
import type { HostFact, LabFacts, ProcessFact } from './facts.ts'
import { daemonStatus, NO_SUBNET, subnetsOf, type DaemonStatus } from './host.ts'
import { isRunning } from './keep.ts'
import { kernelFacts } from './kernel.ts'
import type { LabNamespaces } from './namespaces.ts'
import { networksOf, type HostPlan, type LabPlan } from './plan.ts'
import { podProblem } from './pod-link.ts'
import { podAddresses } from './pod-result.ts'
import { storeEndpoint, storePrefix, StoreClient, type LeaseFact } from './store.ts'
import { StoreError } from '../store/store.ts'

const LEASES_MS = 3_000

/** This thread must be where the store is reached. */
export async function inspect(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  record: LabRecord,
  plan: LabPlan,
): Promise<LabFacts> {
  const [hosts, leases] = await Promise.all([
    Promise.all(plan.hosts.map((host) => inspectHost(directory, namespaces, plan, host))),
    leasesOf(plan, record.id),
  ])
  return {
    directory: directory.path,
    parameters: record.parameters,
    complete: record.complete,
    underlay: plan.stacks.map(({ underlay }) => underlay),
    outside: plan.stacks.map(({ outside }) => outside.address),
    store: {
      ...processFact(directory, 'store'),
      kind: record.parameters.store,
      endpoint: storeEndpoint(plan),
    },
    hosts,
    leases: leases && byHost(leases, plan),
  }
}

async function inspectHost(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  plan: LabPlan,
  host: HostPlan,
): Promise<HostFact> {
  const status = await daemonStatus(directory, host)
  const subnets = subnetsOf(directory, host)
  const fact = processFact(directory, host.name)
  const ready =
    host.peer === undefined ? status?.ready === true : fact.running && subnets.length === plan.stacks.length
  return {
    name: host.name,
    addresses: host.addresses,
    subnets,
    daemon: {
      ...fact,
      program: host.peer ?? 'heddle',
      ready,
      lacking: ready || !fact.running ? undefined : lackingOf(host, status),
      status,
    },
    pods: host.pods.map((pod) => ({ name: pod.name, ips: podAddresses(directory, pod) })),
    problems: [...new Set(host.pods.flatMap((pod) => podProblem(directory, namespaces, pod) ?? []))],
    kernel: namespaces.has(host.name) ? kernelFacts(namespaces.get(host.name), networksOf(plan)) : undefined,
  }
}

const lackingOf = (host: HostPlan, status: DaemonStatus | undefined): string =>
  status?.phase ?? (host.peer === undefined ? 'it does not answer' : NO_SUBNET)

function processFact(directory: LabDirectory, name: string): ProcessFact {
  return { running: isRunning(directory, name), pid: directory.process(name)?.pid }
}

async function leasesOf(plan: LabPlan, id: string): Promise<readonly LeaseFact[] | undefined> {
  using client = new StoreClient(storeEndpoint(plan), storePrefix(plan, id))
  const deadline = AbortSignal.timeout(LEASES_MS)
  try {
    return await client.leases(deadline)
  } catch (error) {
    if (error instanceof StoreError || deadline.aborted) return undefined
    throw error
  }
}

/** In the order of the hosts; those of nobody we know last. */
function byHost(leases: readonly LeaseFact[], plan: LabPlan): readonly LeaseFact[] {
  const place = (lease: LeaseFact): number => {
    const index = plan.hosts.findIndex((host) => host.addresses.some((ip) => ip === lease.publicIp))
    return index < 0 ? plan.hosts.length : index
  }
  return leases.toSorted((a, b) => place(a) - place(b))
}

/** All processes run, every host is ready, and every pod hangs on its host. */
export const isHealthy = (facts: LabFacts): boolean =>
  facts.complete &&
  facts.store.running &&
  facts.leases !== undefined &&
  facts.hosts.every((host) => host.daemon.running && host.daemon.ready && host.problems.length === 0)
