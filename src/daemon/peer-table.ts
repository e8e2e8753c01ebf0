// The table of peers with what this host tells it: what its back end takes for one host's alone, and what this host's
// links are connected to, from now on.
import { persist } from '../dataplane/pause.ts'
import { SurroundingsWatch } from '../dataplane/surroundings.ts'
import { subnetsOf, type Lease } from '../model/lease.ts'
import type { Graces } from '../store/graces.ts'
import { LeaseTable } from '../store/lease-table.ts'
import { log } from '../sys/log.ts'
import type { Fabric } from './fabric.ts'
import type { Network } from './network.ts'

const logger = log.from('peer-table.ts')

export const peerTable = (network: Network, own: Lease, graces: Graces): LeaseTable =>
  new LeaseTable(network.config, own, graces, (lease, family) =>
    lease.backendType === network.backend.type
      ? network.backend.unique(lease[family]?.backendData)
      : undefined,
  )

/** `own`: this host's lease at each look. `links`: names of flannel's devices here. */
export const openSurroundings = (
  { config }: Network,
  own: () => Lease,
  links: ReadonlySet<string>,
): SurroundingsWatch =>
  SurroundingsWatch.open({
    networks: [config.ipv4, config.ipv6].flatMap((range) => (range === undefined ? [] : [range.network])),
    own: () => subnetsOf(own()),
    links,
  })

/** Looks at once; a look that fails is made up for by `followSurroundings`, which hears of whatever disturbed it. */
export function lookAround(watch: SurroundingsWatch, fabric: Fabric): void {
  try {
    fabric.surround(watch.look())
  } catch (error) {
    logger.error(`${CANT_LOOK} (${String(error)}); peers are judged by the last look`, { about: 'look' })
  }
}
const CANT_LOOK = "this host's addresses can't be looked at"

/** Never returns: rejects with the signal's reason. The first look is taken before this waits for anything. */
export async function followSurroundings(
  watch: SurroundingsWatch,
  fabric: Fabric,
  signal: AbortSignal,
): Promise<never> {
  const act = async () => {
    fabric.surround(watch.look())
    for await (const surroundings of watch.changes(signal)) fabric.surround(surroundings)
  }
  await persist(act, signal, (error, pauseMs) =>
    logger.error(`${CANT_LOOK} (${String(error)}): again in ${pauseMs} ms`, { about: 'look' }),
  )
  throw signal.reason as Error
}
