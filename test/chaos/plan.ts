// Which faults come, where and in which order: the seed alone decides.
import { generator } from '../../bench/measure.ts'
import type { Fault } from './faults/fault.ts'
import { choose, wholeNumber } from './faults/fault.ts'

export interface Blow {
  readonly fault: Fault
  /** Index of the host. */
  readonly at: number
  /** For what the fault itself leaves to chance. */
  readonly seed: number
}

/**
 * One fault a step, sometimes two at once, on one host only where one of them bears the other; each kind comes before any
 * comes again. Has no end.
 */
export function* plan(
  seed: number,
  faults: readonly Fault[],
  hosts: number,
): Generator<readonly Blow[], never> {
  const random = generator(seed)
  const blow = (fault: Fault): Blow => ({
    fault,
    at: wholeNumber(random, 0, hosts - 1),
    seed: wholeNumber(random, 0, 0x7fff_ffff),
  })
  for (;;) {
    const left = [...faults]
    while (left.length > 0) {
      const fault = choose(random, left)
      left.splice(left.indexOf(fault), 1)
      const isDouble = random() < 0.2 && fault.isAlone !== true
      const others = faults.filter((one) => one.isAlone !== true && one !== fault)
      const first = blow(fault)
      if (!isDouble) {
        yield [first]
        continue
      }
      const second = blow(choose(random, others))
      const isTooMuch =
        second.at === first.at && first.fault.bearsOthers !== true && second.fault.bearsOthers !== true
      yield [first, isTooMuch ? { ...second, at: (second.at + 1) % hosts } : second]
    }
  }
}
