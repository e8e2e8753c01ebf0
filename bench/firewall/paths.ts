// One TCP stream from pod to pod of two hosts, over the same devices and routes with flannel's rules and without them.
import { Flanneld } from '../../test/support/flanneld.ts'
import { Running } from '../../test/support/process.ts'
import { Segment, type Host, type Pod } from '../../test/support/segment.ts'
import { TestStore } from '../../test/support/stores.ts'
import { pause } from '../peers.ts'
import type { Applier } from './rules-in-place.ts'

const SECONDS = 1
const iptables = (name: string) => ({
  save: `${name}-save`,
  flush: `for table in nat filter; do ${name} -t $table -F; ${name} -t $table -X; done`,
  restore: `${name}-restore`,
})
const TOOLS = {
  nftables: { save: 'nft list ruleset', flush: 'nft flush ruleset', restore: 'nft -f -' },
  'iptables-nft': iptables('iptables-nft'),
  'iptables-legacy': iptables('iptables-legacy'),
} as const satisfies Record<Applier, unknown>

export class Path implements AsyncDisposable {
  readonly #applier: Applier
  readonly #hosts: readonly Host[]
  /** Each host's rules, as the applier's tool takes them. */
  readonly #rules: readonly string[]
  readonly #from: Pod
  readonly #to: Pod
  readonly #parts: AsyncDisposableStack

  private constructor(
    applier: Applier,
    hosts: readonly Host[],
    rules: readonly string[],
    [from, to]: readonly [Pod, Pod],
    parts: AsyncDisposableStack,
  ) {
    this.#applier = applier
    this.#hosts = hosts
    this.#rules = rules
    this.#from = from
    this.#to = to
    this.#parts = parts
  }

  /** What the daemons have made outlives them: they end, so that nobody puts rules back. */
  static async open(applier: Applier, config: string, flags: readonly string[]): Promise<Path> {
    await using parts = new AsyncDisposableStack()
    const segment = parts.use(await Segment.create(2))
    const { hosts } = segment
    const store = parts.use(await TestStore.start('etcd', segment, config))
    const daemons: Flanneld[] = []
    for (const host of hosts) daemons.push(parts.use(await Flanneld.start(host, store, { args: flags })))
    const pods = [await segment.host(1).pod(), await segment.host(2).pod()] as const
    const [from, to] = pods
    for (let tries = 0; !(await from.reaches(to.ip)); tries++)
      if (tries === 10) throw new Error(`${from.ip} does not reach ${to.ip}`)
    for (const daemon of daemons) await daemon.end()
    const rules = await Promise.all(hosts.map((host) => host.sh(TOOLS[applier].save)))
    if (rules.some((text) => !/masquerade/i.test(text))) throw new Error(`there are no rules: ${rules[0]}`)
    parts.use(await serve(to))
    return new Path(applier, hosts, rules, pods, parts.move())
  }

  /** Gigabits a second. */
  async measure(withRules: boolean): Promise<number> {
    const { flush, restore } = TOOLS[this.#applier]
    for (const [index, host] of this.#hosts.entries()) {
      await host.sh(flush)
      if (withRules) await host.sh(`${restore} <<'END'\n${this.#rules[index]}\nEND`)
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
