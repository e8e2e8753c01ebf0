// What the reconciler tells about itself, as plain data.
import type { KindName } from '../model/kernel.ts'

export interface KindReport {
  readonly wanted: number
  /** Changes acknowledged by the kernel since the start. */
  readonly puts: number
  readonly removes: number
  /** Those of them that undid what somebody else had done. */
  readonly repairs: number
  /** Looks at all the kernel has of it, and audits that found without one that it is as the last look showed. */
  readonly dumps: number
  readonly skips: number
  /** Objects that the kernel refused, or that lost against another source's under the same key. */
  readonly failing: number
  /** Objects that wait for something else, as a link that is missing. */
  readonly blocked: number
}

export interface Report {
  /** Whether all is known that is wanted, so that the rest may be removed. */
  readonly complete: boolean
  readonly rounds: number
  /** The end of the last round that ran through. */
  readonly lastRoundAt: Date | undefined
  readonly lastRoundMs: number
  /** How long the round under way has taken so far; undefined between rounds. */
  readonly roundRunsMs: number | undefined
  readonly repairs: number
  readonly kinds: Readonly<Partial<Record<KindName, KindReport>>>
}

/** One object that isn't as wanted. `stray`: might be ours but for its mark, and stays. */
export interface Drift {
  readonly kind: KindName
  readonly key: string
  readonly what: 'missing' | 'different' | 'unwanted' | 'stray'
}

export interface Failure {
  readonly kind: KindName
  readonly key: string
  /** Who wants it, e.g. `lease 10.1.2.0/24`; empty for what is to be removed. */
  readonly source: string
  readonly reason: string
  /** 0 where trying would be of no use: two sources want different things. */
  readonly tries: number
  readonly nextTry: Date | undefined
}
