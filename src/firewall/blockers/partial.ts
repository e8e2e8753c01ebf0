// Values of which only some bits are known, such as an address of which only the prefix is: whether they equal
// another, or lie between two. Pure.

export type Answer = 'yes' | 'no' | 'maybe'

export interface Partial {
  readonly bytes: Uint8Array
  /** Ones where the bit is known. */
  readonly known: Uint8Array
}

export const whole = (bytes: Uint8Array): Partial => ({
  bytes,
  known: new Uint8Array(bytes.length).fill(0xff),
})
export const nothing = (length: number): Partial => ({
  bytes: new Uint8Array(length),
  known: new Uint8Array(length),
})

export const not = (answer: Answer): Answer => (answer === 'yes' ? 'no' : answer === 'no' ? 'yes' : 'maybe')
export const both = (a: Answer, b: Answer): Answer =>
  a === 'no' || b === 'no' ? 'no' : a === 'yes' && b === 'yes' ? 'yes' : 'maybe'

const at = (bytes: Uint8Array, index: number): number => bytes[index] ?? 0

/** Over the bytes of `other`. */
export function equals({ bytes, known }: Partial, other: Uint8Array): Answer {
  let answer: Answer = 'yes'
  for (let i = 0; i < other.length; i++) {
    if (((at(bytes, i) ^ at(other, i)) & at(known, i)) !== 0) return 'no'
    if (at(known, i) !== 0xff) answer = 'maybe'
  }
  return answer
}

/** As numbers in network order, over the bytes of `low`; both ends are in the range. */
export function within(value: Partial, low: Uint8Array, high: Uint8Array): Answer {
  const [least, most] = bounds(value, low.length)
  if (compare(most, low) < 0 || compare(least, high) > 0) return 'no'
  return compare(least, low) >= 0 && compare(most, high) <= 0 ? 'yes' : 'maybe'
}

/** The smallest and the greatest that it can be. */
function bounds({ bytes, known }: Partial, length: number): [Uint8Array, Uint8Array] {
  const least = new Uint8Array(length)
  const most = new Uint8Array(length)
  for (let i = 0; i < length; i++) {
    least[i] = at(bytes, i) & at(known, i)
    most[i] = at(bytes, i) | (~at(known, i) & 0xff)
  }
  return [least, most]
}

export function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < b.length; i++) if (at(a, i) !== at(b, i)) return at(a, i) - at(b, i)
  return 0
}

/** enum nft_cmp_ops. */
export function compareHow(value: Partial, how: number, other: Uint8Array): Answer {
  if (how === 0) return equals(value, other)
  if (how === 1) return not(equals(value, other))
  const [least, most] = bounds(value, other.length)
  const [below, above] = [compare(least, other), compare(most, other)]
  const judge = (all: boolean, none: boolean): Answer => (all ? 'yes' : none ? 'no' : 'maybe')
  switch (how) {
    case 2:
      return judge(above < 0, below >= 0)
    case 3:
      return judge(above <= 0, below > 0)
    case 4:
      return judge(below > 0, above <= 0)
    case 5:
      return judge(below >= 0, above < 0)
    default:
      return 'maybe'
  }
}

/** `(value & mask) ^ xor`: a bit that the mask takes away is known to be nought. */
export function masked({ bytes, known }: Partial, mask: Uint8Array, xor: Uint8Array): Partial {
  const length = mask.length
  const result = nothing(length)
  for (let i = 0; i < length; i++) {
    result.bytes[i] = (at(bytes, i) & at(mask, i)) ^ at(xor, i)
    result.known[i] = at(known, i) | (~at(mask, i) & 0xff)
  }
  return result
}

/** The bytes of each unit in reverse. */
export function swapped({ bytes, known }: Partial, unit: number): Partial {
  const swap = (from: Uint8Array): Uint8Array =>
    from.map((_, i) => at(from, i - (i % unit) + unit - 1 - (i % unit)))
  return { bytes: swap(bytes), known: swap(known) }
}
