// Follows the leases of all hosts into the fabric; peers that the store has lost and hasn't got back in time go.
import type { LeaseTable } from '../store/lease-table.ts'
import type { LeaseEvent, Store } from '../store/store.ts'
import { log } from '../sys/log.ts'
import type { Thrift } from '../sys/thrift.ts'
import type { Fabric } from './fabric.ts'
import type { Report } from './report.ts'

const logger = log.from('peers.ts')
/** The longest wait of a timer; a longer one would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class Peers implements Disposable {
  readonly #table: LeaseTable
  readonly #fabric: Fabric
  readonly #first = Promise.withResolvers<void>()
  #history: string | undefined
  #timer: NodeJS.Timeout | undefined

  readonly #report: Pick<Report, 'leaseEvents' | 'stirred'>
  readonly #thrift: Pick<Thrift, 'worked'>

  /** `report` counts what the store tells. */
  constructor(
    table: LeaseTable,
    fabric: Fabric,
    report: Pick<Report, 'leaseEvents' | 'stirred'>,
    thrift: Pick<Thrift, 'worked'>,
  ) {
    this.#report = report
    this.#thrift = thrift
    this.#table = table
    this.#fabric = fabric
  }

  /** Resolves once the first snapshot has become wishes. */
  get known(): Promise<void> {
    return this.#first.promise
  }

  async follow(store: Store, signal: AbortSignal): Promise<never> {
    for await (const event of store.leases(signal)) {
      this.#report.leaseEvents.increment({ kind: event.kind })
      if (logger.isVerbose(1)) tell(event)
      const before = this.#table.peers.size
      this.#fabric.apply(this.#table.apply(event, performance.now()))
      if (event.kind === 'snapshot') this.#opened(event, before)
      this.#report.stirred()
      this.#thrift.worked(1)
      this.#arm()
    }
    throw new Error('the store ended its leases')
  }

  /** Whether the store has a network config: while it has none, peers of a wiped store stay. */
  configIs(present: boolean): void {
    this.#table.configIs(present, performance.now())
    this.#arm()
  }

  #opened({ history }: LeaseEvent & { kind: 'snapshot' }, before: number): void {
    if (this.#history !== undefined && this.#history !== history)
      logger.warning(
        `the store was wiped or replaced: peers of before (${before}) are kept until they come back or their time is over`,
      )
    this.#history = history
    this.#first.resolve()
  }

  /** One timer for the table's deadline. */
  #arm(): void {
    clearTimeout(this.#timer)
    const { deadlineMs } = this.#table
    if (deadlineMs === undefined) return
    const wait = Math.min(Math.max(1, deadlineMs - performance.now()), LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => this.#expire(), wait)
  }

  #expire(): void {
    const { awaited } = this.#table
    const gone = this.#table.expire(performance.now())
    const lapsed = awaited - this.#table.awaited
    if (lapsed > 0)
      logger.warning(`${lapsed} peers have not come back since the store was wiped or replaced: removed`)
    this.#fabric.apply(gone)
    this.#arm()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}

/** Snapshots from -v 1 on, each lease from -v 2 on, as upstream does. */
function tell(event: LeaseEvent): void {
  switch (event.kind) {
    case 'snapshot':
      return logger.debug(
        1,
        `the store has ${event.leases.length} leases and ${event.rejected.length} keys that are none`,
      )
    case 'put': {
      const { key, backendType, ipv4, ipv6 } = event.lease
      const halves = [ipv4, ipv6].filter((half) => half?.publicIp !== undefined)
      const told = halves.map((half) => `${half?.publicIp} ${JSON.stringify(half?.backendData)}`)
      return logger.debug(2, `lease ${key} (${backendType}) of ${told.join(' and ') || 'nobody'}`)
    }
    case 'delete':
      return logger.debug(2, `lease ${event.subnet} is gone`)
    case 'rejected':
      return logger.debug(2, `key ${event.key} is no lease: ${event.reason}`)
  }
}
