// Transactions of iptables under way, one a flavour and family: nobody is kept waiting long for one, and one that nobody
// waits for any more goes on.
import { setTimeout } from 'node:timers/promises'
import type { IptablesChain } from '../../model/kernel.ts'
import { lockFilePath, lockHolder } from '../../xtables/lock-holder.ts'
import { blocked, type Change, type Result } from '../carrier.ts'
import { iptablesChainKind } from '../kinds/iptables-chain.ts'
import { carryOut, type WorkPlace } from './iptables-work.ts'

/** As long are other kinds kept waiting for a transaction, which goes on without them: less where a lock is in the way. */
const PATIENCE_MS = 3_000
/** From one look at who holds the lock to the next: who holds it twice in a row keeps it. */
const STEP_MS = 200

/** Changes of one flavour and family under way. */
interface Job {
  readonly changes: readonly Change<IptablesChain>[]
  readonly stop: AbortController
  readonly results: Promise<readonly Result[]>
}

/** They end with the signals of those who asked for them. */
export class IptablesJobs {
  readonly #at: WorkPlace
  readonly #ended: (tool: string) => void
  readonly #jobs = new Map<string, Job>()

  /** `ended` is told of each whose results nobody has waited for. */
  constructor(at: WorkPlace, ended: (tool: string) => void) {
    this.#at = at
    this.#ended = ended
  }

  get isBusy(): boolean {
    return this.#jobs.size > 0
  }

  /** One result for each change, in order; `blocked` where it takes its time. Rejects where the signal ends it. */
  async carry(
    tool: string,
    changes: readonly Change<IptablesChain>[],
    signal: AbortSignal,
  ): Promise<readonly Result[]> {
    let job = this.#jobs.get(tool)
    if (job !== undefined && !isSameWork(job.changes, changes)) {
      job.stop.abort(new Error('something else is wanted'))
      await job.results.catch(() => undefined)
      job = undefined
    }
    job ??= this.#start(tool, changes, signal)
    let before: string | undefined
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += STEP_MS) {
      const results = await within(STEP_MS, job.results, signal)
      if (results !== undefined) return results
      const holder = tool.endsWith('-legacy') ? lockHolder() : undefined
      if (holder !== undefined && holder === before)
        return this.#leave(tool, job, `it waits for the xtables lock ${lockFilePath()}, held by ${holder}`)
      before = holder
    }
    return this.#leave(tool, job, `${tool} takes more than ${PATIENCE_MS / 1000} s`)
  }

  /** It goes on. Nobody takes its results any more: all is looked at when it ends. */
  #leave(tool: string, { changes, results }: Job, reason: string): readonly Result[] {
    const tell = () => this.#ended(tool)
    results.then(tell, tell)
    return changes.map(() => blocked(tool, reason))
  }

  #start(tool: string, changes: readonly Change<IptablesChain>[], signal: AbortSignal): Job {
    const stop = new AbortController()
    const results = carryOut(changes, this.#at, AbortSignal.any([signal, stop.signal])).finally(() => {
      if (this.#jobs.get(tool)?.stop === stop) this.#jobs.delete(tool)
    })
    const job = { changes, stop, results }
    this.#jobs.set(tool, job)
    return job
  }
}

function isSameWork(a: readonly Change<IptablesChain>[], b: readonly Change<IptablesChain>[]): boolean {
  return (
    a.length === b.length &&
    a.every((change, index) => {
      const other = b[index]
      if (change.op === 'remove') return other?.op === 'remove' && isSamePlace(change.have, other.have)
      return (
        other?.op === 'put' &&
        isSamePlace(change.want, other.want) &&
        iptablesChainKind.same(change.want, other.want)
      )
    })
  )
}
const isSamePlace = (a: IptablesChain, b: IptablesChain): boolean =>
  iptablesChainKind.key(a) === iptablesChainKind.key(b)

/** Undefined after `ms`. Rejects when the signal aborts. */
async function within<T>(ms: number, promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const enough = new AbortController()
  try {
    const timer = setTimeout(ms, undefined, { signal: AbortSignal.any([signal, enough.signal]) })
    return await Promise.race([promise, timer])
  } finally {
    enough.abort()
  }
}
