// Brings a lab up, or what is missing of it, and proves it.
import type { LabDirectory, LabRecord } from './directory.ts'
import type { LabReport } from './facts.ts'
import { daemonReady, ensureDaemon, subnetsOf } from './host.ts'
import { inspect } from './inspect.ts'
import { kernelFacts } from './kernel.ts'
import { LabNamespaces } from './namespaces.ts'
import type { HostPlan, LabPlan } from './plan.ts'
import { namespacesOf, networksOf, podsOf } from './plan.ts'
import { podAddresses } from './pod-result.ts'
import { dropStrays, ensurePod, writeConflist } from './pod.ts'
import type { Progress } from './progress.ts'
import { prove, type Endpoint } from './proof.ts'
import {
  configureStore,
  ensureStore,
  enterForGood,
  StoreClient,
  storeEndpoint,
  storePrefix,
} from './store.ts'
import { connectUnderlay } from './underlay.ts'
import { each, until } from './wait.ts'
import { count } from './words.ts'
import { parsePrefix } from '../model/prefix.ts'
import { LabError } from './error.ts'

/** How long after all are ready ways may still fail. */
const PATIENCE_MS = 15_000
/** CNI calls that run at one time: they are short, and a machine may have two cores. */
const CALLS_AT_ONCE = 4
const MOST_LISTED = 4

export interface UpOptions {
  readonly directory: LabDirectory
  readonly record: LabRecord
  readonly plan: LabPlan
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Must run where namespaces may be made; leaves this thread in the namespace of the lab's store. */
export async function bringUp(options: UpOptions): Promise<LabReport> {
  try {
    return await bring(options)
  } catch (error) {
    const { directory, record, signal } = options
    const isHalf = !record.complete && !signal.aborted && directory.process('store') !== undefined
    if (!isHalf || !(error instanceof LabError)) throw error
    const more = 'what there is of the lab stays: `heddle lab status` shows it, `heddle lab down` removes it'
    throw new LabError(error.code, `${error.message}\n${more}`, { cause: error })
  }
}

async function bring(options: UpOptions): Promise<LabReport> {
  const { directory, record, plan, progress, signal } = options
  const started = performance.now()
  using namespaces = new LabNamespaces(directory)

  const underlay = plan.stacks.map((stack) => stack.underlay).join(' and ')
  progress.working('underlay', `${underlay}: a bridge, a router, and a link to each host`)
  const pods = new Set(podsOf(plan).map((pod) => pod.name))
  namespaces.make(namespacesOf(plan).filter((name) => !pods.has(name)))
  connectUnderlay(plan, namespaces)
  progress.done('underlay', `${underlay}, ${count(plan.hosts.length, 'host')} and a router to the outside`)

  progress.working('store', 'starting')
  await ensureStore(directory, namespaces, record.id, plan, signal)
  enterForGood(namespaces)
  using client = new StoreClient(storeEndpoint(plan), storePrefix(plan, record.id))
  await configureStore(directory, plan, client, signal)
  progress.done('store', `${record.parameters.store} at ${storeEndpoint(plan)}`)

  await startHosts(options, namespaces)
  await waitForPeers(options, namespaces)
  const proof = await proveLab(options, namespaces, PATIENCE_MS)
  const complete = { ...record, complete: true }
  directory.writeRecord(complete)
  const facts = await inspect(directory, namespaces, complete, plan)
  return { ...facts, proof, seconds: (performance.now() - started) / 1000 }
}

/** Every flanneld at once; each host's pods as soon as the host has its subnet. */
async function startHosts(options: UpOptions, namespaces: LabNamespaces): Promise<void> {
  const { directory, record, plan, progress, signal } = options
  let ready = 0
  let pods = 0
  let made = 0
  const show = () =>
    progress.working('hosts', `${ready} of ${plan.hosts.length} ready, ${count(pods, 'pod')}`)
  for (const host of plan.hosts) {
    await ensureDaemon(directory, namespaces, record.id, plan, host, signal)
    writeConflist(directory, host.name)
  }
  show()
  const turns = limit(CALLS_AT_ONCE)
  await each(plan.hosts, plan.hosts.length, async (host) => {
    await daemonReady(directory, plan, host, signal)
    ready++
    show()
    await turns(() => dropStrays(directory, namespaces, record.id, host.pods, signal))
    // One host's pods one after the other: its bridge is made by the first.
    for (const pod of host.pods) {
      if (await turns(() => ensurePod(directory, namespaces, record.id, pod, signal))) made++
      pods++
      show()
    }
  })
  const subnets = plan.hosts.map((host) => `${host.name} ${subnetsOf(directory, host).join(' ')}`)
  progress.done(
    'hosts',
    subnets.length * plan.stacks.length <= MOST_LISTED
      ? subnets.join(', ')
      : `${subnets.length} hosts, each with its subnet`,
  )
  progress.done('pods', `${count(pods, 'pod')}, ${describeMade(pods, made, record.complete)}`)
}

function describeMade(pods: number, made: number, before: boolean): string {
  if (made === 0) return 'all in place'
  return `${pods === 1 ? '' : made === pods ? 'each ' : `${made} of them `}made ${before ? 'anew ' : ''}by the CNI plugin`
}

/** Until each kernel has a route to each other host's subnet: earlier proofs would fail, and tell nothing new. */
async function waitForPeers(options: UpOptions, namespaces: LabNamespaces): Promise<void> {
  const { directory, plan, progress, signal } = options
  progress.working('routes', 'hosts learn of each other')
  let missing = ''
  const hasAll = (host: HostPlan): boolean => {
    const { routes } = kernelFacts(namespaces.get(host.name), networksOf(plan))
    const to = new Set(routes.map((route) => route.split(' ')[0]))
    for (const other of plan.hosts)
      for (const text of other === host ? [] : subnetsOf(directory, other)) {
        const subnet = parsePrefix(text)
        if (subnet === undefined || to.has(subnet)) continue
        missing = `${host.name} has no route to ${subnet} of ${other.name}`
        return false
      }
    return true
  }
  let left = plan.hosts
  try {
    await until(
      () => {
        left = left.filter((host) => !hasAll(host))
        return left.length === 0 ? true : undefined
      },
      { deadlineMs: PATIENCE_MS, signal, late: () => missing },
    )
    progress.done(
      'routes',
      plan.hosts.length === 1 ? 'one host needs none' : 'every host has one to every other',
    )
  } catch (error) {
    if (!(error instanceof LabError) || error.code !== 'timeout') throw error
    progress.done('routes', `${error.message}; the proof shows what that means`, false)
  }
}

export async function proveLab(
  options: Pick<UpOptions, 'directory' | 'plan' | 'progress' | 'signal'>,
  namespaces: LabNamespaces,
  patienceMs: number,
): Promise<NonNullable<LabReport['proof']>> {
  const { directory, plan, progress, signal } = options
  const pods: Endpoint[] = plan.hosts.flatMap((host) =>
    host.pods.map((pod) => {
      const ips = podAddresses(directory, pod)
      if (ips.length < plan.stacks.length)
        throw new LabError('not-up', `${pod.name} has no address: \`heddle lab up\` makes what is missing`)
      return { name: pod.name, ips, masquerade: host.addresses }
    }),
  )
  progress.working('proof', 'ICMP and TCP from every pod to every other and to the outside')
  const proof = await prove(namespaces, {
    pods,
    outside: plan.stacks.map(({ outside }) => outside.address),
    patienceMs,
    signal,
    onProgress: (proven, all) => progress.working('proof', `${proven} of ${all} ways`),
  })
  const ways = [...proof.pairs, ...proof.outside]
  const failed = ways.filter((way) => !way.ok).length
  progress.done(
    'proof',
    proof.ok
      ? `${count(proof.pairs.length, 'way')} between pods without address translation, ${proof.outside.length} to the outside through masquerade`
      : `${failed} of ${count(ways.length, 'way')} failed`,
    proof.ok,
  )
  return proof
}

/** At most `most` calls at one time; the others wait their turn. */
function limit(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: (() => void)[] = []
  return async (work) => {
    if (running >= most) await new Promise<void>((turn) => waiting.push(turn))
    else running++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
