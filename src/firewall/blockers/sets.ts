// Which elements of an nf_tables set a value finds that is known in part only. Pure.
import type { ForeignSet, SetElement } from '../../netlink/nftables/foreign/ruleset.ts'
import { both, compare, equals, within, type Answer, type Partial } from './partial.ts'

export interface Hit {
  readonly answer: 'yes' | 'maybe'
  readonly element: SetElement
}

/** One certain hit, or those that may be; more than so many are of no use to anybody. */
const MOST_HITS = 64

export function hits(set: ForeignSet, value: Partial): Hit[] | 'too many' {
  if (set.isCut) return 'too many'
  const found: Hit[] = []
  const candidates = set.isInterval && set.parts.length === 1 ? intervals(set.elements) : singles(set)
  for (const { element, judge } of candidates) {
    const answer = judge(value)
    if (answer === 'yes') return [{ answer, element }]
    if (answer === 'maybe') {
      if (found.length === MOST_HITS) return 'too many'
      found.push({ answer, element })
    }
  }
  const rest = set.elements.find(({ isRest }) => isRest)
  if (rest !== undefined) found.push({ answer: found.length === 0 ? 'yes' : 'maybe', element: rest })
  return found
}

interface Candidate {
  readonly element: SetElement
  readonly judge: (value: Partial) => Answer
}

function* singles({ elements, parts }: ForeignSet): Generator<Candidate> {
  for (const element of elements)
    if (!element.isRest && !element.endsInterval)
      yield { element, judge: (value) => fits(value, element, parts) }
}

/** Each part of a concatenated key begins at a multiple of four bytes. */
function fits(value: Partial, { key, keyEnd }: SetElement, parts: readonly number[]): Answer {
  if (keyEnd === undefined) return equals(value, key)
  let [answer, from]: [Answer, number] = ['yes', 0]
  for (const length of parts) {
    const cut = (bytes: Uint8Array): Uint8Array => bytes.subarray(from, from + length)
    const part = { bytes: cut(value.bytes), known: cut(value.known) }
    answer = both(answer, within(part, cut(key), cut(keyEnd)))
    from += (length + 3) & ~3
  }
  return answer
}

/** Elements tell where each interval begins and, in another, the first value behind it. */
function* intervals(elements: readonly SetElement[]): Generator<Candidate> {
  const sorted = elements
    .filter(({ isRest }) => !isRest)
    .toSorted((a, b) => compare(a.key, b.key) || Number(b.endsInterval) - Number(a.endsInterval))
  for (const [index, element] of sorted.entries()) {
    if (element.endsInterval) continue
    const next = sorted[index + 1]
    const last = next === undefined ? new Uint8Array(element.key.length).fill(0xff) : predecessor(next.key)
    yield { element, judge: (value) => within(value, element.key, last) }
  }
}

function predecessor(key: Uint8Array): Uint8Array {
  const result = key.slice()
  for (let i = result.length - 1; i >= 0; i--) {
    const byte = result[i] ?? 0
    result[i] = byte === 0 ? 0xff : byte - 1
    if (byte !== 0) break
  }
  return result
}
