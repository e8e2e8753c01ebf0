// To a pod of this host: its bridge and port; and before anybody has asked for the address, whether a pod has it.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULT_DATA_DIR } from '../../cni/ipam/store.ts'
import { parseIp, type Ip } from '../../model/ip.ts'
import { containsIp, type Prefix } from '../../model/prefix.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import type { Hop } from './hop.ts'
import { onSegment } from './last-mile.ts'
import type { Told } from './told.ts'
import type { KernelView } from './view.ts'

export function* toPod(view: KernelView, link: LinkInfo, to: Ip, told: Told): Generator<Hop> {
  const own = told.ownSubnetOf(to)
  for (const hop of onSegment(view, link, to, 'inner'))
    if (own === undefined || hop.kind !== 'neighbour' || hop.state !== 'open') yield hop
    else yield unasked(hop, to, own)
}

function unasked(hop: Hop, to: Ip, own: Prefix): Hop {
  const given = addressesGiven(DEFAULT_DATA_DIR, own)
  if (given === undefined)
    return {
      ...hop,
      state: 'unknown',
      note: `not asked for yet, and whether a pod has ${to} is not known: ${DEFAULT_DATA_DIR} has no address of ${own}`,
    }
  if (given.has(to)) return { ...hop, note: 'given to a pod; not asked for yet' }
  return {
    layer: 'inner',
    kind: 'address',
    state: 'missing',
    object: to,
    note: `no pod of this host has it: host-local has given out ${given.size} of ${own}, and not that one (${DEFAULT_DATA_DIR})`,
  }
}

/** By host-local's files, whatever the network's name; undefined where they tell nothing of the subnet. */
export function addressesGiven(dataDir: string, own: Prefix): ReadonlySet<Ip> | undefined {
  const given = new Set<Ip>()
  try {
    for (const network of readdirSync(dataDir, { withFileTypes: true }).filter((each) => each.isDirectory()))
      for (const name of readdirSync(join(dataDir, network.name))) {
        const ip = parseIp(name)
        if (ip !== undefined && containsIp(own, ip)) given.add(ip)
      }
  } catch (error) {
    // Nobody gave out any there, or only root may see which.
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined
    throw error
  }
  return given.size === 0 ? undefined : given
}
