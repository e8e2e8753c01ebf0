// What the reconciler tells about itself, as plain data.
import type { KernelObject, KindName } from '../model/kernel.ts'

export interface KindReport {
  readonly wanted: number
  /** Ours in the kernel, as far as we know; and how many of the wanted ones are there as they should be. */
  readonly actual: number
  readonly programmed: number
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
  /** As it should be, and who wants it; absent where nobody does. */
  readonly want?: KernelObject
  readonly source?: string
  /** As the kernel has it; absent where it is missing. */
  readonly have?: KernelObject
}

/** An object that something else had changed or removed, and that was put right. */
export interface Repair {
  readonly kind: KindName
  readonly key: string
  /** Among the repairs of its kind since the start, from 1 on. */
  readonly number: number
  readonly at: Date
}

/** An object that something else keeps changing. */
export interface Fight {
  readonly kind: KindName
  readonly key: string
  /** Who wants it; empty for what is to be removed. */
  readonly source: string
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
