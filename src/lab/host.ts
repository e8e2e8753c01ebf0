// A host's flanneld: started in the host's namespace, asked how it is, waited for until it is ready.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import type { LabDirectory } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import { endingUnder, isRunning, keepRunning } from './keep.ts'
import type { LabNamespaces } from './namespaces.ts'
import type { HostPlan, LabPlan } from './plan.ts'
import { storeEndpoint, storePrefix } from './store.ts'
import { lastLines, until } from './wait.ts'

const READY_MS = 30_000
const STATUS_MS = 2_000
/** What a host waits for that tells nothing itself. */
export const NO_SUBNET = 'it has no subnet yet'

/** Starts the host's flanneld unless it runs. */
export async function ensureDaemon(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  id: string,
  plan: LabPlan,
  host: HostPlan,
  signal: AbortSignal,
): Promise<void> {
  mkdirSync(directory.host(host.name), { recursive: true })
  const upstreams = {
    'etcd-endpoints': storeEndpoint(plan),
    'etcd-prefix': storePrefix(plan, id),
    'subnet-file': subnetFile(directory, host),
    'ip-masq': 'true',
  }
  const own = {
    ...upstreams,
    'status-socket': statusSocket(directory, host),
    'state-dir': directory.host(host.name, 'state'),
  }
  writeFileSync(confFile(directory, host.name), confText(own))
  const program =
    host.peer === undefined
      ? {
          file: executable.file,
          argv0: 'flanneld',
          // This machine's own conf file has nothing to say in a lab.
          args: [...executable.prefix, ...flagsOf(own), '--config-file='],
        }
      : { file: host.peer, args: flagsOf(upstreams) }
  const start = {
    ...program,
    namespace: namespaces.get(host.name),
    id,
    // iptables, which other flannelds call, would leave its lock in /run.
    environment: { XTABLES_LOCKFILE: directory.host(host.name, 'xtables.lock') },
  }
  await keepRunning(directory, host.name, start, signal)
}

/** The same options for what a person runs on the host: `heddle drift` and whatever else reads flanneld's. */
export const confFile = (directory: LabDirectory, host: string): string =>
  directory.host(host, 'flanneld.conf')

type FlannelOptions = Readonly<Record<string, string>>
const flagsOf = (options: FlannelOptions): string[] =>
  Object.entries(options).map(([name, value]) => `--${name}=${value}`)
const confText = (options: FlannelOptions): string =>
  Object.entries(options)
    .map(([name, value]) => `${VARIABLES}${name.toUpperCase().replaceAll('-', '_')}=${value}\n`)
    .join('')
/** What names of flanneld's environment variables begin with. */
export const VARIABLES = 'FLANNELD_'

export const subnetFile = (directory: LabDirectory, host: Pick<HostPlan, 'name'>): string =>
  directory.host(host.name, 'subnet.env')
const statusSocket = (directory: LabDirectory, host: HostPlan): string =>
  directory.host(host.name, 'flanneld.sock')

/** What subnet.env has of each family, IPv4 first; nothing before it is written. */
export function subnetsOf(directory: LabDirectory, host: Pick<HostPlan, 'name'>): readonly string[] {
  try {
    const text = readFileSync(subnetFile(directory, host), 'utf8')
    return [/^FLANNEL_SUBNET=(.+)$/m, /^FLANNEL_IPV6_SUBNET=(.+)$/m].flatMap(
      (line) => line.exec(text)?.[1] ?? [],
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Waits until the host has its subnets and, where the daemon is heddle's, says that it is ready. */
export async function daemonReady(
  directory: LabDirectory,
  plan: LabPlan,
  host: HostPlan,
  signal: AbortSignal,
): Promise<void> {
  const log = () =>
    `; the end of its log (\`heddle lab logs ${host.name}\` has all of it):${lastLines(directory.log(host.name))}`
  const hint =
    host.peer !== undefined && plan.stacks.every(({ family }) => family === 'ipv6')
      ? " (upstream's finds none in a network of IPv6 alone)"
      : ''
  let lacking = NO_SUBNET
  await until(
    async () => {
      if (!isRunning(directory, host.name))
        throw new LabError(
          'failed',
          `${host.name}: its flanneld ended${await endingUnder(directory, host.name)}${log()}`,
        )
      const status = await daemonStatus(directory, host)
      if (status?.phase !== undefined) lacking = `its flanneld is at: ${status.phase}`
      const hasAll = subnetsOf(directory, host).length === plan.stacks.length
      return hasAll && (host.peer !== undefined || status?.ready === true) ? true : undefined
    },
    {
      deadlineMs: READY_MS,
      signal,
      late: () => `${host.name} is not ready after ${READY_MS / 1000} s: ${lacking}${hint}${log()}`,
    },
  )
}

/** What heddle's flanneld tells about itself on its socket: of that, what the lab shows. */
export interface DaemonStatus {
  readonly ready: boolean
  /** What it is doing or waiting for, in words. */
  readonly phase?: string
  readonly objects?: { readonly repairs?: number }
  /** Leases that are not served, with the reason. */
  readonly refused?: Readonly<Record<string, string>>
  /** Kernel objects that can't be had. */
  readonly failures?: Readonly<Record<string, { readonly reason?: string }>>
  readonly rssBytes?: number
}

/** Undefined if nobody answers, as always with another flanneld. */
export async function daemonStatus(
  directory: LabDirectory,
  host: HostPlan,
): Promise<DaemonStatus | undefined> {
  if (host.peer !== undefined) return undefined
  const { promise, resolve } = Promise.withResolvers<DaemonStatus | undefined>()
  const request = get(
    { socketPath: statusSocket(directory, host), path: '/status', timeout: STATUS_MS, agent: false },
    (response) => {
      text(response)
        .then((body) => resolve(JSON.parse(body) as DaemonStatus))
        .catch(() => resolve(undefined))
    },
  )
  request.on('timeout', () => request.destroy())
  request.on('error', () => resolve(undefined))
  return promise
}
