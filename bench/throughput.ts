// Traffic from pod to pod over what heddle made, beside what upstream made: two pairs of hosts, in turns; one TCP stream
// for throughput, small datagrams for the rate of packets.
import { Flanneld, type Make } from '../test/support/flanneld.ts'
import { Running } from '../test/support/process.ts'
import { Segment, type Pod } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { rounds, type Bench, type Figure } from './measure.ts'
import { pause, type PeerType } from './peers.ts'
import { UPSTREAM } from './side-by-side.ts'

const SECONDS = 1

interface Traffic {
  readonly what: string
  readonly unit: string
  readonly rounds: number
  /** Of iperf3's client. */
  readonly flags: string
  readonly measure: (received: Received) => number
}
interface Received {
  readonly bits_per_second: number
  readonly packets: number
  readonly lost_packets: number
  readonly seconds: number
}
const TRAFFIC: readonly Traffic[] = [
  {
    what: 'throughput',
    unit: 'Gb/s',
    rounds: 16,
    flags: '',
    measure: ({ bits_per_second: bits }) => bits / 1e9,
  },
  {
    what: 'packet rate',
    unit: 'packets/ms',
    rounds: 12,
    flags: '-u -b 0 -l 64',
    measure: ({ packets, lost_packets: lost, seconds }) => (packets - lost) / seconds / 1000,
  },
]

export const throughput: Bench = {
  name: 'throughput',
  what: `${TRAFFIC.map(({ what }) => what).join(' and ')} from pod to pod, in rounds of ${SECONDS} s, heddle's devices and upstream's in turns`,
  async run(note) {
    const figures: Figure[] = []
    for (const type of ['vxlan', 'host-gw'] as const) {
      await using heddle = await Way.open('heddle', type)
      await using upstream = await Way.open('upstream', type)
      for (const traffic of TRAFFIC) {
        const taken = await rounds(traffic.rounds, {
          heddle: () => heddle.measure(traffic, note),
          upstream: () => upstream.measure(traffic, note),
        })
        figures.push({
          what: `${traffic.what} over ${type}`,
          unit: traffic.unit,
          heddle: taken.heddle,
          beside: { name: UPSTREAM, values: taken.upstream },
          goals: [{ of: 'ratio', atLeast: 0.98 }],
        })
      }
    }
    return figures
  },
}

/** Two hosts with a daemon each, and a pod on each of them. */
class Way implements AsyncDisposable {
  readonly #name: string
  readonly #from: Pod
  readonly #to: Pod
  readonly #daemons: readonly Flanneld[]
  readonly #parts: AsyncDisposableStack

  private constructor(
    name: string,
    [from, to]: readonly [Pod, Pod],
    daemons: readonly Flanneld[],
    parts: AsyncDisposableStack,
  ) {
    this.#name = name
    this.#from = from
    this.#to = to
    this.#daemons = daemons
    this.#parts = parts
  }

  static async open(make: Make, type: PeerType): Promise<Way> {
    await using parts = new AsyncDisposableStack()
    const segment = parts.use(await Segment.create(2))
    const store = parts.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
    const daemons: Flanneld[] = []
    for (const host of segment.hosts) daemons.push(parts.use(await Flanneld.start(host, store, { make })))
    const pods = [await segment.host(1).pod(), await segment.host(2).pod()] as const
    const [from, to] = pods
    for (let tries = 0; !(await from.reaches(to.ip)); tries++)
      if (tries === 10) throw new Error(`${from.ip} does not reach ${to.ip}`)
    parts.use(await serve(to))
    return new Way(`${type}, ${make}`, pods, daemons, parts.move())
  }

  async measure({ flags, unit, measure }: Traffic, note: (progress: string) => void): Promise<number> {
    const report = JSON.parse(
      await this.#from.sh(`nice -n -20 iperf3 -c ${this.#to.ip} -t ${SECONDS} ${flags} -J`),
    ) as { end: { sum_received?: Received; sum: Received } }
    const value = measure(flags === '' ? (report.end.sum_received ?? report.end.sum) : report.end.sum)
    note(`${this.#name}: ${value.toFixed(2)} ${unit}`)
    for (const { process } of this.#daemons)
      if (!process.running) throw new Error(`flanneld ended:\n${process.tail()}`)
    await pause(0.1)
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]()
  }
}

/** Both ends run before whatever else the machine does: it would disturb the two sides unequally. */
async function serve(pod: Pod): Promise<Running> {
  const server = Running.start('nice', ['-n', '-20', 'iperf3', '-s', '--forceflush'], {
    namespace: pod.namespace,
  })
  await server.line(/Server listening/)
  return server
}
