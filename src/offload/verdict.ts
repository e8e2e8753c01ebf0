// Whether this host sends bad checksums, by what peers have answered: no single peer decides where there are others, and
// neither does a lost packet. Pure.

/** One time that a peer was asked twice at once: by a packet whose checksum is left to the device, and by one of ours. */
export interface Round {
  readonly offloaded: boolean
  readonly control: boolean
}

/**
 * `bad`: it answers what bears a checksum of ours and never what was left to the device. `silent`: it answers neither,
 * which says nothing. `unclear` as long as it may be asked again, and after that.
 */
type PeerVerdict = 'good' | 'bad' | 'silent' | 'unclear'

/** `odd`: all is well but for one peer. `unknown`: nobody could tell. */
export type Verdict = 'good' | 'bad' | 'odd' | 'unknown'

/** So many answered controls, and nothing else answered, aren't chance. */
const ENOUGH_ROUNDS = 4
/** A peer that has answered nothing so often won't. */
const SILENT_ROUNDS = 2
export const MOST_ROUNDS = 7

export function judgePeer(rounds: readonly Round[]): PeerVerdict {
  if (rounds.some(({ offloaded }) => offloaded)) return 'good'
  const answered = rounds.filter(({ control }) => control).length
  if (answered >= ENOUGH_ROUNDS) return 'bad'
  return answered === 0 && rounds.length >= SILENT_ROUNDS ? 'silent' : 'unclear'
}

/** By all rounds of each peer; undefined: those that are unclear are to be asked again. */
export function judge(peers: readonly (readonly Round[])[]): Verdict | undefined {
  const verdicts = peers.map(judgePeer)
  const count = (verdict: PeerVerdict) => verdicts.filter((each) => each === verdict).length
  if (count('bad') > 1) return 'bad'
  if (peers.some((rounds) => judgePeer(rounds) === 'unclear' && rounds.length < MOST_ROUNDS)) return undefined
  if (count('bad') === 0) return count('good') > 0 ? 'good' : 'unknown'
  if (count('good') > 0) return 'odd'
  // The only one that answers anything; one that is lossy might yet say otherwise.
  return count('unclear') > 0 ? 'unknown' : 'bad'
}
