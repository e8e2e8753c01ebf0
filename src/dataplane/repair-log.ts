// What the log says of repairs, and how it names kinds of kernel objects.
import type { KindName } from '../model/kernel.ts'
import { log } from '../sys/log.ts'

const logger = log.from('reconciler.ts')

const NAMES: Readonly<Record<KindName, readonly [one: string, many: string]>> = {
  link: ['link', 'links'],
  address: ['address', 'addresses'],
  route: ['route', 'routes'],
  blackhole: ['blackhole route', 'blackhole routes'],
  neighbour: ['neighbour', 'neighbours'],
  fdb: ['FDB entry', 'FDB entries'],
  nexthop: ['nexthop', 'nexthops'],
  'nft-table': ['nf_tables table', 'nf_tables tables'],
  sysctl: ['sysctl', 'sysctls'],
  'iptables-chain': ['iptables chain', 'iptables chains'],
}
export const pluralOf = (kind: KindName): string => NAMES[kind][1]
const counted = (kind: KindName, count: number): string =>
  count === 1 ? `one ${NAMES[kind][0]}` : `${count} ${NAMES[kind][1]}`

const MINUTE_MS = 60_000
/** Repairs of one minute that are told by themselves. */
const MOST_TOLD = 10

export class RepairLog {
  #told: number[] = []

  /** One line a round; in a storm the log folds what is more than a few a minute. */
  tell(repairs: readonly (readonly [kind: KindName, count: number])[], tookMs: number): void {
    const some = repairs.filter(([, count]) => count > 0)
    if (some.length === 0) return
    const now = performance.now()
    this.#told = this.#told.filter((at) => now - at < MINUTE_MS)
    const isStorm = this.#told.length >= MOST_TOLD
    if (!isStorm) this.#told.push(now)
    const took = tookMs < 1 ? 'under 1 ms' : `${tookMs.toFixed(0)} ms`
    logger.info(
      `put right in ${took} what others had changed or removed: ${some.map(([kind, count]) => counted(kind, count)).join(', ')}`,
      { key: isStorm ? 'repaired' : `repaired ${now}` },
    )
  }
}
