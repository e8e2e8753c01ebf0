// What the firewall rules cost, and how fast they are there: at the start, after a flush, on the way of packets, and at
// rest; upstream beside where it does the same.
import { Flanneld, type FlanneldOptions, type Make } from '../test/support/flanneld.ts'
import { Segment } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { execsDuring } from './firewall/execs.ts'
import { Path } from './firewall/paths.ts'
import { APPLIERS, rulesOf, type Applier, type Rules } from './firewall/rules-in-place.ts'
import { RULES, syncRules } from './kube-proxy.ts'
import { generator, percentile, rounds, type Bench, type Figure } from './measure.ts'
import { pause } from './peers.ts'
import { atMost, UPSTREAM } from './side-by-side.ts'

/** What upstream does only when asked, too. */
const FLAGS = ['--ip-masq']
const STARTS = 5
const FLUSHES = 100
/** Flushes come at any time after the last look, which has some influence on the next. */
const LONGEST_PAUSE_SECONDS = 0.6
const REST_SECONDS = 12
const THROUGHPUT_ROUNDS = 12
const LONGEST_MS = 20_000

type Note = (progress: string) => void

export const firewall: Bench = {
  name: 'firewall',
  what: `rules of ${APPLIERS.join(', ')}: process start to rules in place on a fresh host, healing after a flush, throughput with them and without, programs started at rest`,
  async run(note) {
    const figures = [await starts(note, 'nftables', 'empty')]
    for (const applier of COMPARED) figures.push(await starts(note, applier, 'kube-proxy'))
    for (const applier of APPLIERS) figures.push(await healing(note, applier))
    for (const applier of APPLIERS) figures.push(await cost(note, applier))
    return [...figures, ...(await rest(note))]
  },
}

/** Upstream takes the `iptables` that this machine has, which is nf_tables' by now. */
const COMPARED = ['nftables', 'iptables-nft'] as const

/** By upstream, rules are kept by programs with iptables, and not kept with nf_tables. */
const config = (applier: Applier) =>
  networkConfig({ Type: 'vxlan' }, { EnableNFTables: applier === 'nftables' })
const flagsOf = (applier: Applier) => [...FLAGS, `--firewall=${applier}`]

/** `kube-proxy`: its rules for a large cluster are there already, which programs that write rules have to read. */
async function starts(note: Note, applier: Applier, beside: 'empty' | 'kube-proxy'): Promise<Figure> {
  await using segment = await Segment.create(0)
  await using store = await TestStore.start('etcd', segment, config(applier))
  const place = beside === 'empty' ? 'nothing else there' : `beside ${RULES} rules of kube-proxy`
  let number = 0
  const once = async (make: Make): Promise<number> => {
    const host = await segment.addHost(++number)
    if (beside === 'kube-proxy') await syncRules(host, number)
    using rules = rulesOf(applier, host)
    const started = performance.now()
    const args = make === 'heddle' ? flagsOf(applier) : FLAGS
    await using _flanneld = Flanneld.launch(host, store, { make, args })
    const milliseconds = await present(rules, started)
    note(`${make}, ${applier}, ${place}: rules in place after ${milliseconds.toFixed(0)} ms`)
    return milliseconds
  }
  const taken = await rounds(STARTS, {
    heddle: () => once('heddle'),
    upstream: () => once('upstream'),
  })
  return {
    what: `start to rules in place, ${applier}, ${place}`,
    unit: 'ms',
    heddle: taken.heddle,
    beside: { name: UPSTREAM, values: taken.upstream },
    ...(beside === 'kube-proxy' && { goals: [{ of: 'ratio', atMost: 0.2 }] }),
  }
}

/** Milliseconds since `started` until all rules are there. */
async function present(rules: Rules, started: number): Promise<number> {
  while (!rules.arePresent) {
    if (performance.now() - started > LONGEST_MS) throw new Error(`no rules after ${LONGEST_MS / 1000} s`)
    await pause(0.001)
  }
  return performance.now() - started
}

async function healing(note: Note, applier: Applier): Promise<Figure> {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, config(applier))
  const host = segment.host(1)
  await using _flanneld = await Flanneld.start(host, store, { args: flagsOf(applier) })
  using rules = rulesOf(applier, host)
  const random = generator(1)
  const times: number[] = []
  for (let flush = 0; flush < FLUSHES; flush++) {
    await pause(random() * LONGEST_PAUSE_SECONDS)
    // Before the program that empties the tables: they may be healed before its end is known.
    const started = performance.now()
    await rules.takeAway()
    times.push(await present(rules, started))
  }
  note(
    `${applier}: ${FLUSHES} times flushed, there again after ${percentile(times, 50).toFixed(1)} ms (median)`,
  )
  return {
    what: `healing after a flush, ${applier}, p99`,
    unit: 'ms',
    heddle: [percentile(times, 99)],
    goals: [atMost(applier === 'nftables' ? 200 : 1000)],
  }
}

async function cost(note: Note, applier: Applier): Promise<Figure> {
  await using path = await Path.open(applier, config(applier), flagsOf(applier))
  const measure = async (withRules: boolean) => {
    const value = await path.measure(withRules)
    note(`throughput ${withRules ? 'with' : 'without'} rules of ${applier}: ${value.toFixed(2)} Gb/s`)
    return value
  }
  const taken = await rounds(THROUGHPUT_ROUNDS, {
    with: () => measure(true),
    without: () => measure(false),
  })
  return {
    what: `throughput with rules of ${applier}`,
    unit: 'Gb/s',
    heddle: taken.with,
    beside: { name: 'the same path without rules', values: taken.without },
    goals: [{ of: 'ratio', atLeast: 0.98 }],
  }
}

/** All hosts at once: upstream's with iptables, which it looks after by programs. */
async function rest(note: Note): Promise<Figure[]> {
  await using parts = new AsyncDisposableStack()
  const segment = parts.use(await Segment.create(APPLIERS.length + 1))
  const store = parts.use(await TestStore.start('etcd', segment, config('iptables-nft')))
  const daemons: Flanneld[] = []
  for (const [index, host] of segment.hosts.entries()) {
    const applier = APPLIERS[index]
    const options: FlanneldOptions =
      applier === undefined ? { make: 'upstream', args: FLAGS } : { args: flagsOf(applier) }
    daemons.push(parts.use(await Flanneld.start(host, store, options)))
  }
  // All have said what they had to say at the start.
  await pause(3)
  const counts = await Promise.all(daemons.map(({ process }) => execsDuring(process.pid, REST_SECONDS)))
  const theirs = counts.at(-1) ?? NaN
  note(
    `programs started in ${REST_SECONDS} s of rest: ${counts.slice(0, -1).join(', ')}; by upstream ${theirs}`,
  )
  return APPLIERS.map((applier, index) => ({
    what: `programs started in ${REST_SECONDS} s while nothing changes, ${applier}`,
    unit: 'programs',
    heddle: [counts[index] ?? NaN],
    beside: { name: `${UPSTREAM}, iptables`, values: [theirs] },
    goals: [atMost(0)],
  }))
}
