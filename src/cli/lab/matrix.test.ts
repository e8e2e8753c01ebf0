// The matrix of a proof, as text.
import { describe, expect, test } from 'bun:test'
import type { PairFact, ProofFacts } from '../../lab/facts.ts'
import { matrix, problems } from './matrix.ts'

const plain = { good: String, bad: (text: string) => `!${text}!`, dim: String, bold: String }
const way = (from: string, to: string, problem?: string): PairFact => ({
  family: 'ipv4',
  from,
  to,
  icmpMs: 0.25,
  tcpMs: 0.125,
  seen: '10.0.0.1',
  expected: '10.0.0.1',
  ok: problem === undefined,
  problem,
})
const proofOf = (pods: readonly string[], broken = ''): ProofFacts => {
  const all = (to: readonly string[]) =>
    pods.flatMap((from) =>
      to
        .filter((one) => one !== from)
        .map((one) => way(from, one, `${from} ${one}` === broken ? 'TCP: ENETUNREACH' : undefined)),
    )
  return { ok: broken === '', pairs: all(pods), outside: all(['outside']) }
}

describe('the matrix', () => {
  test('shows both round trips pod by pod, and what failed', () => {
    expect(matrix(proofOf(['h1p1', 'h2p1'], 'h2p1 h1p1'), plain)).toBe(
      'Round trips by IPv4  from row to column, ICMP/TCP, ms\n' +
        '        h1p1      h2p1       outside\n' +
        '  h1p1  ·         0.25/0.13  0.25/0.13\n' +
        '  h2p1  !FAILED!  ·          0.25/0.13\n',
    )
  })

  test('of many pods is drawn by host, with how many ways failed', () => {
    const pods = ['h1', 'h2', 'h3'].flatMap((host) => ['p1', 'p2', 'p3'].map((pod) => `${host}${pod}`))
    expect(matrix(proofOf(pods, 'h3p1 h1p2'), plain)).toBe(
      'Round trips by IPv4  between the pods of row and column, the longest by TCP, ms\n' +
        '      h1          h2    h3    outside\n' +
        '  h1  0.13        0.13  0.13  0.13\n' +
        '  h2  0.13        0.13  0.13  0.13\n' +
        '  h3  !1 FAILED!  0.13  0.13  0.13\n',
    )
  })

  test('is followed by each problem', () => {
    expect(problems(proofOf(['h1p1', 'h2p1'], 'h2p1 h1p1'), plain)).toBe(
      '!Failed!  1 of 4 ways\n  h2p1 → h1p1  IPv4  TCP: ENETUNREACH\n',
    )
  })
})
