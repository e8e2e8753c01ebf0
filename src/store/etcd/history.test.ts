// When a store is another one: histories by themselves.
import { describe, expect, test } from 'bun:test'
import { History } from './history.ts'

const at = (revision: bigint, clusterId = 7n) => ({ clusterId, revision })
const begun = (revision: bigint) => {
  const history = new History()
  history.answered(history.mark(), at(revision))
  return history
}

describe('a history', () => {
  test('goes on while the revision does', () => {
    const history = begun(5n)
    const name = history.name
    for (const revision of [5n, 6n, 100n]) expect(history.answered(history.mark(), at(revision))).toBe(true)
    expect(history.name).toBe(name)
  })

  test('is another when the revision goes back, or the cluster is another, or it forgot', () => {
    const names = new Set<string>()
    for (const [answer, forgot] of [
      [at(4n), false],
      [at(9n, 8n), false],
      [at(9n), true],
    ] as const) {
      const history = begun(5n)
      const name = history.name
      expect(history.answered(history.mark(), answer, forgot)).toBe(true)
      expect(history.name).not.toBe(name)
      names.add(history.name)
    }
    expect(names.size).toBe(2)
  })

  test('knows the revisions of events too', () => {
    const history = begun(5n)
    const name = history.name
    history.seen(9n)
    history.seen(3n)
    history.answered(history.mark(), at(8n))
    expect(history.name).not.toBe(name)
  })

  test('isn’t fooled by an answer to a question asked before the last event', () => {
    const history = begun(5n)
    const [name, mark] = [history.name, history.mark()]
    history.seen(9n)
    expect(history.answered(mark, at(6n))).toBe(true)
    expect(history.name).toBe(name)
  })

  test('begins anew once, however many notice; an answer from before is of no use', () => {
    const history = begun(5n)
    const marks = [history.mark(), history.mark(), history.mark()] as const
    history.answered(marks[0], at(2n))
    const name = history.name
    expect(history.answered(marks[1], at(2n))).toBe(true)
    expect(history.answered(marks[2], at(6n, 8n))).toBe(false)
    expect(history.answered(marks[2], at(1n))).toBe(false)
    expect(history.name).toBe(name)
  })
})
