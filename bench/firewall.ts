// What the firewall rules cost, and how fast they are there: at the start, after a flush, on the way of packets, and at
// rest; upstream beside where it does the same.
import { Flanneld, type Make } from '../test/support/flanneld.ts'
import { Segment } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { execsDuring } from './firewall/execs.ts'
import { Path } from './firewall/paths.ts'
import { NftRules } from './firewall/rules-in-place.ts'
import { RULES, syncRules } from './kube-proxy.ts'
import { generator, percentile, rounds, type Bench, type Figure } from './measure.ts'
import { pause } from './peers.ts'
import { atMost, UPSTREAM } from './side-by-side.ts'

/** What upstream does only when asked, too. */
const FLAGS = ['--ip-masq']
const STARTS = 7
const FLUSHES = 200
/** Flushes come at any time after the last look, which has some influence on the next. */
const LONGEST_PAUSE_SECONDS = 0.3
const REST_SECONDS = 12
const THROUGHPUT_ROUNDS = 16
const LONGEST_MS = 20_000

type Note = (progress: string) => void

export const firewall: Bench = {
  name: 'firewall',
  what: 'rules of nf_tables: process start to rules in place on a fresh host, healing of a table that was deleted, throughput with them and without, programs started at rest',
  async run(note) {
    return [
      await starts(note, 'empty'),
      await starts(note, 'kube-proxy'),
      await healing(note),
      await cost(note),
      await rest(note),
    ]
  },
}

/** As upstream has it: with iptables it also keeps what it has written, by programs. */
const config = (isNft: boolean) => networkConfig({ Type: 'vxlan' }, { EnableNFTables: isNft })

/** `kube-proxy`: its rules for a large cluster are there already, which programs that write rules have to read. */
async function starts(note: Note, beside: 'empty' | 'kube-proxy'): Promise<Figure> {
  await using segment = await Segment.create(0)
  await using store = await TestStore.start('etcd', segment, config(true))
  const place = beside === 'empty' ? 'nothing else there' : `beside ${RULES} rules of kube-proxy`
  let number = 0
  const once = async (make: Make): Promise<number> => {
    const host = await segment.addHost(++number)
    if (beside === 'kube-proxy') await syncRules(host, number)
    using rules = new NftRules(host)
    const started = performance.now()
    await using _flanneld = Flanneld.launch(host, store, { make, args: FLAGS })
    const milliseconds = await present(rules, started)
    note(`${make}, ${place}: rules in place after ${milliseconds.toFixed(0)} ms`)
    return milliseconds
  }
  const taken = await rounds(STARTS, {
    heddle: () => once('heddle'),
    upstream: () => once('upstream'),
  })
  return {
    what: `start to rules in place, ${place}`,
    unit: 'ms',
    heddle: taken.heddle,
    beside: { name: UPSTREAM, values: taken.upstream },
    ...(beside === 'kube-proxy' && { goals: [{ of: 'ratio', atMost: 0.2 }] }),
  }
}

/** Milliseconds since `started` until all rules are there. */
async function present(rules: NftRules, started: number): Promise<number> {
  while (!rules.arePresent) {
    if (performance.now() - started > LONGEST_MS) throw new Error(`no rules after ${LONGEST_MS / 1000} s`)
    await pause(0.001)
  }
  return performance.now() - started
}

async function healing(note: Note): Promise<Figure> {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, config(true))
  const host = segment.host(1)
  await using _flanneld = await Flanneld.start(host, store, { args: FLAGS })
  using rules = new NftRules(host)
  const random = generator(1)
  const times: number[] = []
  for (let flush = 0; flush < FLUSHES; flush++) {
    await pause(random() * LONGEST_PAUSE_SECONDS)
    rules.takeAway()
    times.push(await present(rules, performance.now()))
  }
  const half = percentile(times, 50)
  note(`${FLUSHES} times deleted: there again after ${half.toFixed(1)} ms (median)`)
  return {
    what: 'healing after a flush, p99',
    unit: 'ms',
    heddle: [percentile(times, 99)],
    goals: [atMost(200)],
  }
}

async function cost(note: Note): Promise<Figure> {
  await using path = await Path.open(FLAGS)
  const measure = async (withRules: boolean) => {
    const value = await path.measure(withRules)
    note(`throughput ${withRules ? 'with' : 'without'} rules: ${value.toFixed(2)} Gb/s`)
    return value
  }
  const taken = await rounds(THROUGHPUT_ROUNDS, {
    with: () => measure(true),
    without: () => measure(false),
  })
  return {
    what: 'throughput with rules, beside none',
    unit: 'Gb/s',
    heddle: taken.with,
    beside: { name: 'the same path without rules', values: taken.without },
    goals: [{ of: 'ratio', atLeast: 0.98 }],
  }
}

async function rest(note: Note): Promise<Figure> {
  await using segment = await Segment.create(2)
  await using store = await TestStore.start('etcd', segment, config(false))
  await using heddle = await Flanneld.start(segment.host(1), store, { args: FLAGS })
  await using upstream = await Flanneld.start(segment.host(2), store, { make: 'upstream', args: FLAGS })
  // Both have said what they had to say at the start.
  await pause(2)
  const [ours = NaN, theirs = NaN] = await Promise.all(
    [heddle, upstream].map(({ process }) => execsDuring(process.pid, REST_SECONDS)),
  )
  note(`programs started in ${REST_SECONDS} s of rest: ${ours} by heddle, ${theirs} by upstream`)
  return {
    what: `programs started in ${REST_SECONDS} s while nothing changes`,
    unit: 'programs',
    heddle: [ours],
    beside: { name: `${UPSTREAM}, iptables`, values: [theirs] },
    goals: [atMost(0)],
  }
}
