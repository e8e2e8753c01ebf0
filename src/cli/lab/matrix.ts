// The proof as a matrix for each family: pod by pod while it fits on a screen, else host by host.
import type { PairFact, ProofFacts } from '../../lab/facts.ts'
import type { Family } from '../../model/ip.ts'
import { count } from '../../lab/words.ts'
import { columns, type Style } from '../style.ts'

const MOST_PODS = 8
const MOST_PROBLEMS = 12

export function matrix(proof: ProofFacts, style: Style): string {
  const families = [...new Set(proof.outside.map((way) => way.family))]
  return families.map((family) => ofFamily(family, proof, style)).join('\n')
}

function ofFamily(family: Family, all: ProofFacts, style: Style): string {
  const proof = {
    pairs: all.pairs.filter((way) => way.family === family),
    outside: all.outside.filter((way) => way.family === family),
  }
  const pods = [...new Set(proof.outside.map((way) => way.from))]
  const title = style.bold(`Round trips by ${WORD[family]}`)
  return pods.length <= MOST_PODS ? byPod(title, proof, pods, style) : byHost(title, proof, pods, style)
}

const WORD = { ipv4: 'IPv4', ipv6: 'IPv6' } as const
type Ways = Pick<ProofFacts, 'pairs' | 'outside'>

function byPod(title: string, proof: Ways, pods: readonly string[], style: Style): string {
  const ways = [...proof.pairs, ...proof.outside]
  const cell = (from: string, to: string): string => {
    const way = ways.find((one) => one.from === from && one.to === to)
    if (way === undefined) return style.dim('·')
    return way.ok ? `${ms(way.icmpMs)}/${ms(way.tcpMs)}` : style.bad('FAILED')
  }
  const targets = [...pods, 'outside']
  return (
    `${title}  from row to column, ICMP/TCP, ms\n` +
    columns([
      ['', ...targets].map(style.dim),
      ...pods.map((from) => [style.dim(from), ...targets.map((to) => cell(from, to))]),
    ])
  )
}

function byHost(title: string, proof: Ways, pods: readonly string[], style: Style): string {
  const hosts = [...new Set(pods.map(hostOf))]
  const cell = (ways: readonly PairFact[]): string => {
    if (ways.length === 0) return style.dim('·')
    const failed = ways.filter((way) => !way.ok).length
    return failed > 0 ? style.bad(`${failed} FAILED`) : ms(Math.max(...ways.map((way) => way.tcpMs ?? 0)))
  }
  const pairs = Map.groupBy(proof.pairs, (way) => `${hostOf(way.from)} ${hostOf(way.to)}`)
  const outside = Map.groupBy(proof.outside, (way) => hostOf(way.from))
  return (
    `${title}  between the pods of row and column, the longest by TCP, ms\n` +
    columns([
      ['', ...hosts, 'outside'].map(style.dim),
      ...hosts.map((from) => [
        style.dim(from),
        ...hosts.map((to) => cell(pairs.get(`${from} ${to}`) ?? [])),
        cell(outside.get(from) ?? []),
      ]),
    ])
  )
}

/** What does not work, way by way. */
export function problems(proof: ProofFacts, style: Style): string {
  const failed = [...proof.pairs, ...proof.outside].filter((way) => !way.ok)
  const more = failed.length - MOST_PROBLEMS
  return (
    `${style.bad('Failed')}  ${failed.length} of ${count(proof.pairs.length + proof.outside.length, 'way')}\n` +
    columns(
      failed
        .slice(0, MOST_PROBLEMS)
        .map((way) => [`${way.from} → ${way.to}`, WORD[way.family], way.problem ?? '']),
    ) +
    (more > 0 ? `  and ${more} more (--json tells all)\n` : '')
  )
}

const hostOf = (pod: string): string => pod.replace(/p\d+$/, '')
const ms = (value: number | undefined): string => value?.toFixed(2) ?? '-'
