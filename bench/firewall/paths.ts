// One TCP stream from pod to pod of two hosts, over the same devices and routes with flannel's rules and without them.
import { Flanneld } from '../../test/support/flanneld.ts'
import { Running } from '../../test/support/process.ts'
import { Segment, type Host, type Pod } from '../../test/support/segment.ts'
import { networkConfig, TestStore } from '../../test/support/stores.ts'
import { pause } from '../peers.ts'

const SECONDS = 1

export class Path implements AsyncDisposable {
  readonly #hosts: readonly Host[]
  /** Each host's rules, as nft takes them. */
  readonly #rules: readonly string[]
  readonly #from: Pod
  readonly #to: Pod
  readonly #parts: AsyncDisposableStack

  private constructor(
    hosts: readonly Host[],
    rules: readonly string[],
    [from, to]: readonly [Pod, Pod],
    parts: AsyncDisposableStack,
  ) {
    this.#hosts = hosts
    this.#rules = rules
    this.#from = from
    this.#to = to
    this.#parts = parts
  }

  /** What the daemons have made outlives them: they end, so that nobody puts rules back. */
  static async open(flags: readonly string[]): Promise<Path> {
    await using parts = new AsyncDisposableStack()
    const segment = parts.use(await Segment.create(2))
    const { hosts } = segment
    const store = parts.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
    const daemons: Flanneld[] = []
    for (const host of hosts) daemons.push(parts.use(await Flanneld.start(host, store, { args: flags })))
    const pods = [await segment.host(1).pod(), await segment.host(2).pod()] as const
    const [from, to] = pods
    for (let tries = 0; !(await from.reaches(to.ip)); tries++)
      if (tries === 10) throw new Error(`${from.ip} does not reach ${to.ip}`)
    for (const daemon of daemons) await daemon.end()
    const rules = await Promise.all(hosts.map((host) => host.sh('nft list ruleset')))
    if (rules.some((text) => !text.includes('masquerade'))) throw new Error(`there are no rules: ${rules[0]}`)
    parts.use(await serve(to))
    return new Path(hosts, rules, pods, parts.move())
  }

  /** Gigabits a second. */
  async measure(withRules: boolean): Promise<number> {
    for (const [index, host] of this.#hosts.entries()) {
      await host.sh('nft flush ruleset')
      if (withRules) await host.sh(`nft -f - <<'END'\n${this.#rules[index]}\nEND`)
    }
    await pause(0.1)
    const report = JSON.parse(
      await this.#from.sh(`nice -n -20 iperf3 -c ${this.#to.ip} -t ${SECONDS} -J`),
    ) as { end: { sum_received: { bits_per_second: number } } }
    return report.end.sum_received.bits_per_second / 1e9
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]()
  }
}

async function serve(pod: Pod): Promise<Running> {
  const words = ['-n', '-20', 'iperf3', '-s', '--forceflush']
  const server = Running.start('nice', words, { namespace: pod.namespace })
  await server.line(/Server listening/)
  return server
}
