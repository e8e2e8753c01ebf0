// Who stays where halves of leases claim what only one of them can have: the earlier. A change looks again at what it
// touches and no more. Of one family. Pure.
import type { SubnetKey } from '../model/lease.ts'
import { ClaimIndex, goesBefore, rivalry, type Claim } from './claim-index.ts'

export class Claims {
  readonly #all = new Map<SubnetKey, Claim>()
  readonly #standing = new ClaimIndex()
  readonly #beaten = new ClaimIndex()
  /** Of each that is beaten: the earliest that stands and can't have it beside it. */
  readonly #winners = new Map<SubnetKey, Claim>()
  /** Not judged yet, so in neither index. */
  readonly #fresh = new Set<SubnetKey>()
  /** To be judged, again or for the first time. */
  readonly #open = new Set<SubnetKey>()

  /** Puts or takes away a claim; what follows from it is decided by `settle`. */
  set(key: SubnetKey, claim: Claim | undefined): void {
    const before = this.#all.get(key)
    if (before !== undefined) this.#withdraw(before)
    if (claim === undefined) {
      this.#all.delete(key)
      return
    }
    this.#all.set(key, claim)
    this.#fresh.add(key)
    this.#open.add(key)
  }

  /** Why a claim doesn't stand; undefined for one that does. */
  reasonAgainst(key: SubnetKey): string | undefined {
    const winner = this.#winners.get(key)
    const claim = winner && this.#all.get(key)
    return winner && claim && rivalry(claim, winner)
  }

  /** Judges what is open, the earlier first, for only they count against a claim; the keys that were judged. */
  settle(): readonly SubnetKey[] {
    const order = this.#resolve(this.#open)
    if (order.length > 1) order.sort((a, b) => (goesBefore(a, b) ? -1 : 1))
    for (let index = 0; index < order.length; index++) {
      const claim = order[index]
      if (claim === undefined) break
      for (const later of this.#judge(claim)) {
        if (this.#open.has(later.key)) continue
        this.#open.add(later.key)
        order.splice(placeFor(later, order, index + 1), 0, later)
      }
    }
    this.#open.clear()
    return order.map(({ key }) => key)
  }

  #withdraw(claim: Claim): void {
    const { key } = claim
    this.#open.delete(key)
    if (this.#fresh.delete(key)) return
    if (this.#winners.delete(key)) {
      this.#beaten.remove(claim)
      return
    }
    this.#standing.remove(claim)
    for (const other of this.#beatenBy(claim)) this.#open.add(other.key)
  }

  /** Lets it stand or not; later claims that this makes a difference to. */
  #judge(claim: Claim): readonly Claim[] {
    const { key } = claim
    const fresh = this.#fresh.delete(key)
    const stood = !fresh && !this.#winners.has(key)
    if (!fresh) (stood ? this.#standing : this.#beaten).remove(claim)
    const rivals = this.#resolve(this.#standing.rivals(claim))
    let winner: Claim | undefined
    for (const rival of rivals)
      if (goesBefore(rival, claim) && (winner === undefined || goesBefore(rival, winner))) winner = rival
    if (winner !== undefined) {
      this.#winners.set(key, winner)
      this.#beaten.add(claim)
      return stood ? this.#beatenBy(claim) : NONE
    }
    this.#winners.delete(key)
    this.#standing.add(claim)
    if (stood) return NONE
    for (const rival of this.#resolve(this.#beaten.rivals(claim))) {
      const before = this.#winners.get(rival.key)
      if (before !== undefined && goesBefore(claim, before)) rivals.push(rival)
    }
    return rivals
  }

  /** Those that it kept from standing, as far as anyone knows. */
  #beatenBy(claim: Claim): readonly Claim[] {
    return this.#resolve(this.#beaten.rivals(claim)).filter(({ key }) => this.#winners.get(key) === claim)
  }

  #resolve(keys: Iterable<SubnetKey>): Claim[] {
    const claims: Claim[] = []
    for (const key of keys) {
      const claim = this.#all.get(key)
      if (claim !== undefined) claims.push(claim)
    }
    return claims
  }
}
const NONE: readonly Claim[] = []

function placeFor(claim: Claim, order: readonly Claim[], from: number): number {
  let [low, high] = [from, order.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = order[middle]
    if (other !== undefined && goesBefore(other, claim)) low = middle + 1
    else high = middle
  }
  return low
}
