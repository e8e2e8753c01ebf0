// What the parts of a soak add to: lines of the summary, and what must not be.
import { percentile } from '../../bench/measure.ts'

export class Tally {
  readonly summary: string[] = []
  readonly failed: string[] = []
}

/** Of milliseconds: `p50 31 ms, p99 58 ms, most 61 ms`. */
export const spread = (times: readonly number[]): string =>
  `p50 ${percentile(times, 50).toFixed(0)} ms, p99 ${percentile(times, 99).toFixed(0)} ms, most ${Math.max(...times).toFixed(0)} ms`
