// Asks several peers, several times, whether what this host leaves to the device to sum up arrives.
import type { Ip } from '../model/ip.ts'
import type { Namespace } from '../sys/namespace.ts'
import { ask } from './probe.ts'
import { judge, judgePeer, MOST_ROUNDS, type Round, type Verdict } from './verdict.ts'

/** More than a way there and back takes. */
const ROUND_MS = 1_000

export interface Tunnel {
  readonly device: string
  /** Our address on it. */
  readonly source: Ip
  readonly namespace?: Namespace
}

export interface Finding {
  readonly verdict: Verdict
  /** The mark of the packets that were lost; 0 for any packet. */
  readonly mark: number
  /** Peers that answer what bears a checksum of ours, and never what was left to the device. */
  readonly deaf: readonly Ip[]
  readonly answering: readonly Ip[]
  readonly silent: readonly Ip[]
}

/**
 * By their addresses on the tunnel; with packets that bear no mark, then with marked ones for each of `marks`, as rules
 * of others may translate those a second time once they are encapsulated (Linux before 5.7 then spoils their checksum).
 * A good path costs two small packets for each peer and mark, a bad one takes some
 * two seconds. Undefined if nothing
 * could be sent, or the signal has ended it.
 */
export async function survey(
  tunnel: Tunnel,
  targets: readonly Ip[],
  marks: readonly number[],
  signal: AbortSignal,
): Promise<Finding | undefined> {
  let worst: Finding | undefined
  for (const mark of [0, ...marks]) {
    const found = await surveyMarked(tunnel, targets, mark, signal)
    if (found === undefined) return worst
    if (
      worst === undefined ||
      found.verdict === 'bad' ||
      (found.verdict === 'odd' && worst.verdict === 'good')
    )
      worst = found
    // Marked packets fare no better.
    if (found.verdict === 'bad' || found.verdict === 'unknown') break
  }
  return worst
}

async function surveyMarked(
  tunnel: Tunnel,
  targets: readonly Ip[],
  mark: number,
  signal: AbortSignal,
): Promise<Finding | undefined> {
  const asked = targets.map((target) => ({ target, rounds: [] as Round[] }))
  let verdict: Verdict | undefined
  while ((verdict = judge(asked.map(({ rounds }) => rounds))) === undefined) {
    const open = asked.filter(({ rounds }) => judgePeer(rounds) === 'unclear' && rounds.length < MOST_ROUNDS)
    const answers = await Promise.all(
      open.map(({ target }) => ask({ ...tunnel, target, mark, timeoutMs: ROUND_MS }, signal)),
    )
    if (signal.aborted || answers.every((round) => round === undefined)) return undefined
    for (const [index, round] of answers.entries())
      open[index]?.rounds.push(round ?? { offloaded: false, control: false })
  }
  const those = (wanted: string) =>
    asked.flatMap(({ target, rounds }) => (judgePeer(rounds) === wanted ? [target] : []))
  return { verdict, mark, deaf: those('bad'), answering: those('good'), silent: those('silent') }
}
