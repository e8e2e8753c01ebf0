// Drift where no flanneld answers: against what it would want by the store, else what is in the kernel against itself.
// Reads only.
import { survey } from '../../dataplane/survey.ts'
import { ownChains } from '../../firewall/chain-names.ts'
import { ownTables } from '../../firewall/rules.ts'
import { FAMILIES } from '../../model/ip.ts'
import { ROUTE_PROTOCOL } from '../../model/kernel.ts'
import { dumpRoutes } from '../../netlink/route-info.ts'
import { TABLE } from '../../netlink/route.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { incoherences } from '../../status/drift/coherence.ts'
import { differs, driftingObjects, kindCounts, type DriftReport } from '../../status/drift/report.ts'
import type { Options } from '../options.ts'
import { readSubnetFile } from '../subnet-file.ts'
import { readLinks } from '../uninstall/kernel.ts'
import { ourDevices } from '../uninstall/proof.ts'
import { NOTHING } from './desk.ts'
import { planFromStore } from './from-store.ts'

/** What a flanneld that runs tells besides. */
const DAEMONS_OWN = 'what the kernel refuses, fights and repairs: only a running flanneld knows'

/** Throws where the kernel can't be read. */
export async function offlineDrift(options: Options): Promise<DriftReport> {
  const plan = await planFromStore(options)
  if (typeof plan === 'string') return fromKernel(options, plan)
  const { drift, wanted } = await survey(plan.scope, plan.wishes)
  const objects = driftingObjects(drift)
  return {
    ...NOTHING,
    by: 'store',
    complete: true,
    unknown: [DAEMONS_OWN],
    differs: differs(objects),
    objects,
    kinds: kindCounts(wanted, objects),
    refused: Object.fromEntries(plan.refused),
    doubtful: Object.fromEntries(plan.doubtful),
  }
}

async function fromKernel(options: Options, why: string): Promise<DriftReport> {
  const { networks, subnets } = readSubnetFile(options['subnet-file'])
  const { devices, routed } = readOurs()
  const scope = {
    links: new Set(devices),
    networks: [...new Set([...networks, ...routed])],
    tables: ownTables(),
    chains: ownChains(),
  }
  const { drift } = await survey(scope, [])
  const ours = drift.flatMap(({ what, have }) => (what === 'unwanted' && have !== undefined ? [have] : []))
  const objects = incoherences(ours, { subnets })
  return {
    ...NOTHING,
    by: 'kernel',
    unknown: [
      `what should be here: ${why}`,
      'so the objects in the kernel are only compared with each other; whether peers are missing, or too many, is not known',
      DAEMONS_OWN,
    ],
    differs: differs(objects),
    objects,
    kinds: kindCounts({}, objects),
  }
}

/** Devices by name, and where routes with our mark lead to. */
function readOurs() {
  using netlink = NetlinkSocket.open('route')
  const { links, nexthops } = readLinks(netlink)
  return {
    devices: ourDevices(links, nexthops).map(({ name }) => name),
    routed: FAMILIES.flatMap((family) =>
      dumpRoutes(netlink, { family, table: TABLE.main, protocol: ROUTE_PROTOCOL, type: 'unicast' }).map(
        ({ to }) => to,
      ),
    ),
  }
}
