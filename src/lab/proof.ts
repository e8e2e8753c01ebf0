// The proof: every pod reaches every pod by ICMP and TCP and is seen under its own address; every pod reaches the
// outside and is seen there under its host's.
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import { echo } from '../sys/icmp.ts'
import type { PairFact, ProofFacts } from './facts.ts'
import type { LabNamespaces } from './namespaces.ts'
import { askServer, EchoServer } from './tcp.ts'
import { each, ifInterrupted } from './wait.ts'

export interface Endpoint {
  readonly name: string
  /** At most one a family. */
  readonly ips: readonly Ip[]
  /** Under which the outside sees it, likewise. */
  readonly masquerade: readonly Ip[]
}

export interface ProofOptions {
  readonly pods: readonly Endpoint[]
  /** Where the outside is reached, at most one a family: the families that are proven. */
  readonly outside: readonly Ip[]
  /** How long failing ways are tried again. */
  readonly patienceMs: number
  readonly signal: AbortSignal
  /** Called with how many of all ways are proven. */
  readonly onProgress?: (proven: number, all: number) => void
}

/** One try of one way. */
const TRY_MS = 1_000
const AT_ONCE = 64
const PAUSE_MS = 100

interface Way {
  readonly from: string
  readonly to: string
  readonly toIp: Ip
  readonly expected: Ip
}

export async function prove(namespaces: LabNamespaces, options: ProofOptions): Promise<ProofFacts> {
  const { pods, outside, signal } = options
  await using servers = new AsyncDisposableStack()
  const ports = new Map<Ip, number>()
  for (const { name, ips } of [...pods, { name: OUTSIDE, ips: outside }])
    for (const ip of ips) ports.set(ip, servers.use(await EchoServer.listen(namespaces.get(name), ip)).port)
  const ways = outside.flatMap((ip) => waysOf(familyOf(ip), pods, ip))
  const results = new Map<Way, PairFact>()
  const end = performance.now() + options.patienceMs
  for (;;) {
    const left = ways.filter((way) => results.get(way)?.ok !== true)
    await each(left, AT_ONCE, async (way) => {
      ifInterrupted(signal)
      results.set(way, await tryWay(namespaces, way, ports.get(way.toIp) ?? 0))
    })
    const proven = ways.filter((way) => results.get(way)?.ok === true).length
    options.onProgress?.(proven, ways.length)
    if (proven === ways.length || performance.now() > end) break
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  const facts = ways.flatMap((way) => results.get(way) ?? [])
  return {
    ok: facts.every((fact) => fact.ok),
    pairs: facts.filter((fact) => fact.to !== OUTSIDE),
    outside: facts.filter((fact) => fact.to === OUTSIDE),
  }
}

const OUTSIDE = 'outside'

/** From every pod to every other, and from every pod to the outside, by one family. */
function waysOf(family: Family, pods: readonly Endpoint[], outside: Ip): readonly Way[] {
  const of = (ips: readonly Ip[]): Ip[] => ips.filter((ip) => familyOf(ip) === family)
  const ends = pods.flatMap(({ name, ips, masquerade }) =>
    of(ips).flatMap((ip) => of(masquerade).map((seen) => ({ name, ip, seen }))),
  )
  return [
    ...ends.flatMap((from) =>
      ends
        .filter((to) => to !== from)
        .map((to) => ({ from: from.name, to: to.name, toIp: to.ip, expected: from.ip })),
    ),
    ...ends.map((from) => ({ from: from.name, to: OUTSIDE, toIp: outside, expected: from.seen })),
  ]
}

async function tryWay(namespaces: LabNamespaces, way: Way, port: number): Promise<PairFact> {
  const namespace = namespaces.get(way.from)
  const [icmpMicroseconds, tcp] = await Promise.all([
    echo(way.toIp, { namespace, timeoutMs: TRY_MS }),
    askServer(namespace, { ip: way.toIp, port }, TRY_MS),
  ])
  const seen = tcp.kind === 'answered' ? tcp.seen : undefined
  const problem =
    tcp.kind === 'failed'
      ? `TCP: ${tcp.reason}`
      : icmpMicroseconds === undefined
        ? `ICMP: no answer in ${TRY_MS} ms`
        : seen !== way.expected
          ? `seen as ${tcp.seen}, not as ${way.expected}`
          : undefined
  return {
    family: familyOf(way.toIp),
    from: way.from,
    to: way.to,
    icmpMs: icmpMicroseconds === undefined ? undefined : icmpMicroseconds / 1000,
    tcpMs: tcp.kind === 'answered' ? tcp.ms : undefined,
    seen,
    expected: way.expected,
    ok: problem === undefined,
    problem,
  }
}
