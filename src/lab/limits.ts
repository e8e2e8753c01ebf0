// What this machine can't do for a lab, told before anything is begun.
import { accessSync, constants, statSync } from 'node:fs'
import { readSysctlIfThere } from '../sys/sysctl.ts'
import { LabError } from './error.ts'
import { DUAL_STACK, IPV4_ALONE } from './networks.ts'
import type { LabPlan } from './plan.ts'
import { count } from './words.ts'

/** One neighbour table of each family serves all namespaces of a kernel: every host keeps one entry for every other. */
export function checkLimits(plan: LabPlan, limitOf = neighbourLimit): void {
  const { hosts, pods } = plan.parameters
  const wanted = hosts * (hosts + 1) + 2 * hosts * pods
  for (const { family } of plan.stacks) {
    const name = `net/${family}/neigh/default/gc_thresh3`
    const most = limitOf(name)
    if (wanted > most)
      throw new LabError(
        'refused',
        `${count(hosts, 'host')} need up to ${wanted} neighbour entries, and this kernel keeps ${most}: have fewer hosts, or run sysctl -w ${dotted(name)}=${2 * wanted}`,
      )
  }
}

interface NetworkHere {
  readonly network: string
  /** Why it has no IPv6, for people. */
  readonly lacking: string | undefined
}

/** The network of a lab whose network nobody has chosen: of both families where this machine has both. */
export function networkHere(): NetworkHere {
  const off = ipv6Switch()
  const lacking =
    off === undefined
      ? 'this kernel has none: the lab is IPv4 alone'
      : off === '0'
        ? undefined
        : `switched off here (${dotted(SWITCH)}=${off}): the lab is IPv4 alone; --network ${DUAL_STACK} makes one with both all the same`
  return { network: lacking === undefined ? DUAL_STACK : IPV4_ALONE, lacking }
}

/** IPv6 that is only switched off is no hindrance: a lab's namespaces have settings of their own. */
export function checkFamilies(plan: LabPlan): void {
  if (plan.stacks.some(({ family }) => family === 'ipv6') && ipv6Switch() === undefined)
    throw new LabError(
      'refused',
      `--network ${plan.parameters.network}: this kernel has no IPv6; want an IPv4 network such as ${IPV4_ALONE}`,
    )
}

const SWITCH = 'net/ipv6/conf/all/disable_ipv6'
const dotted = (name: string): string => name.replaceAll('/', '.')

const ipv6Switch = (): string | undefined => readSysctlIfThere(SWITCH)

/** The other flannelds that hosts shall run must be there, and executable. */
export function checkPeers(plan: LabPlan): void {
  for (const [host, path] of Object.entries(plan.parameters.peers))
    try {
      accessSync(path, constants.X_OK)
      if (!statSync(path).isFile()) throw new LabError('usage', `--peer ${host}=${path}: this is no file`)
    } catch (error) {
      if (error instanceof LabError) throw error
      const { code } = error as NodeJS.ErrnoException
      const why = code === 'ENOENT' ? 'there is no such file' : `it may not be executed (${code})`
      throw new LabError('usage', `--peer ${host}=${path}: ${why}`, { cause: error })
    }
}

/** Told to the first network namespace only; elsewhere nobody knows. */
const neighbourLimit = (name: string): number => Number(readSysctlIfThere(name) ?? Infinity)
