// Forgets history by itself: what was superseded longer ago than a time, or more than a number of revisions back. Set
// going by writes: a store that nobody writes to has no timer, once all that can go has gone.
import { RpcError } from '../grpc/rpc-error.ts'
import type { Revisions } from './revisions.ts'

export type Retention = { readonly ms: number } | { readonly revisions: bigint }

/** Between compactions: a part of what is kept. */
const STEPS = 10
const MIN_STEP_REVISIONS = 100n

interface Sample {
  readonly atMs: number
  readonly revision: bigint
}

export interface AutoCompactionOptions {
  /** Undefined keeps all. */
  readonly retention: Retention | undefined
  readonly revisions: Revisions
  readonly compact: (revision: bigint) => Promise<void>
}

export class AutoCompaction implements Disposable {
  readonly #options: AutoCompactionOptions
  /** Which revision was the newest at some moments, oldest first: what came before it may go a retention later. */
  #samples: Sample[] = []
  #sampled = 0n
  #running = false
  #timer: NodeJS.Timeout | undefined
  #timerDueMs = Infinity

  constructor(options: AutoCompactionOptions) {
    this.#options = options
    this.written()
  }

  /** There is a newer revision. */
  written(): void {
    const { retention } = this.#options
    if (retention === undefined) return
    if ('revisions' in retention) this.#compactByRevisions(retention.revisions)
    else this.#arm(performance.now() + retention.ms / STEPS)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #compactByRevisions(kept: bigint): void {
    const { revision, compactRevision } = this.#options.revisions
    const step = kept / BigInt(STEPS)
    const slack = step > MIN_STEP_REVISIONS ? step : MIN_STEP_REVISIONS
    if (revision - kept >= compactRevision + slack) this.#compact(revision - kept)
  }

  #arm(dueMs: number): void {
    if (dueMs >= this.#timerDueMs) return
    clearTimeout(this.#timer)
    this.#timerDueMs = dueMs
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, Math.ceil(dueMs - performance.now())))
    this.#timer.unref()
  }

  #tick(): void {
    const { retention, revisions } = this.#options
    if (retention === undefined || 'revisions' in retention) return
    this.#timerDueMs = Infinity
    const nowMs = performance.now()
    if (revisions.revision > this.#sampled) {
      this.#sampled = revisions.revision
      this.#samples.push({ atMs: nowMs, revision: this.#sampled })
    }
    const old = this.#samples.filter(({ atMs }) => atMs + retention.ms <= nowMs)
    this.#samples = this.#samples.slice(old.length)
    const last = old.at(-1)
    if (last !== undefined) this.#compact(last.revision)
    const next = this.#samples[0]
    if (next !== undefined) this.#arm(next.atMs + retention.ms)
  }

  #compact(revision: bigint): void {
    const { revisions, compact } = this.#options
    if (this.#running || revision <= revisions.compactRevision) return
    this.#running = true
    compact(revision)
      .catch((error: unknown) => {
        // A client has compacted further at the same moment, or the disk is full: there is a next time.
        if (!(error instanceof RpcError)) throw error
      })
      .finally(() => {
        this.#running = false
      })
  }
}
