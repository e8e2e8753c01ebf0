// What this machine can't do for a lab, told before anything is begun.
import { accessSync, constants } from 'node:fs'
import { readSysctl } from '../sys/sysctl.ts'
import { LabError, reasonOf } from './error.ts'
import type { LabPlan } from './plan.ts'
import { count } from './words.ts'

const NEIGHBOURS = 'net/ipv4/neigh/default/gc_thresh3'

/** One neighbour table serves all namespaces of a kernel: every host keeps one entry for every other. */
export function checkLimits(plan: LabPlan, most = neighbourLimit()): void {
  const { hosts, pods } = plan.parameters
  const wanted = hosts * (hosts + 1) + 2 * hosts * pods
  if (wanted > most)
    throw new LabError(
      'refused',
      `${count(hosts, 'host')} need up to ${wanted} neighbour entries, and this kernel keeps ${most}: have fewer hosts, or run sysctl -w ${NEIGHBOURS.replaceAll('/', '.')}=${2 * wanted}`,
    )
}

/** The other flannelds that hosts shall run must be there, and executable. */
export function checkPeers(plan: LabPlan): void {
  for (const [host, path] of Object.entries(plan.parameters.peers))
    try {
      accessSync(path, constants.X_OK)
    } catch (error) {
      throw new LabError('usage', `--peer ${host}=${path}: ${reasonOf(error)}`, { cause: error })
    }
}

/** Told to the first network namespace only; elsewhere nobody knows. */
function neighbourLimit(): number {
  try {
    return Number(readSysctl(NEIGHBOURS))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Infinity
    throw error
  }
}
