// A daemon that starts where all peers are in the kernel already, as after an upgrade: from the start of the process
// until it is ready, and what it changes in the kernel; upstream's changes beside.
import { Changes } from '../test/support/changes.ts'
import { Flanneld, type Make } from '../test/support/flanneld.ts'
import { eventually } from '../test/support/process.ts'
import { Segment, type Host } from '../test/support/segment.ts'
import { TestStore } from '../test/support/stores.ts'
import { rounds, type Bench } from './measure.ts'
import { pause, peers, putLeases } from './peers.ts'
import { atMost, benchConfig, hasPeers, UPSTREAM } from './side-by-side.ts'

const PEERS = 5000
const ROUNDS = 4
/** By then upstream, which says that it runs before it looks at any peer, has been through them. */
const WATCHED_SECONDS = 3

export const restart: Bench = {
  name: 'restart',
  what: `process start to ready with ${PEERS} VXLAN peers in place, and what changes in the kernel until ${WATCHED_SECONDS} s after`,
  async run(note) {
    await using segment = await Segment.create(2)
    await using store = await TestStore.start('etcd', segment, benchConfig({ Type: 'vxlan' }))
    putLeases(store, peers(PEERS))
    const heddle = new Side('heddle', segment.host(1))
    const upstream = new Side('upstream', segment.host(2))
    // Together: the other host's lease is no news to either later on.
    await Promise.all([heddle, upstream].map((side) => side.prepare(store)))
    const taken = await rounds(ROUNDS, {
      heddle: () => heddle.restart(store, note),
      upstream: () => upstream.restart(store, note),
    })
    return [
      {
        what: `restart with ${PEERS} peers in place, to ready`,
        unit: 'ms',
        heddle: taken.heddle,
        goals: [atMost(500)],
      },
      {
        what: 'changes to the kernel by a restart',
        unit: 'messages',
        heddle: heddle.changes,
        beside: { name: UPSTREAM, values: upstream.changes },
        goals: [atMost(0)],
      },
    ]
  },
}

class Side {
  readonly make: Make
  /** How many there were in each round. */
  readonly changes: number[] = []
  readonly #host: Host

  constructor(make: Make, host: Host) {
    this.make = make
    this.#host = host
  }

  /** A daemon puts all peers there, and ends; then the kernel comes to rest. */
  async prepare(store: TestStore): Promise<void> {
    await using flanneld = await Flanneld.start(this.#host, store, { make: this.make })
    await eventually('all peers are there', async () => (await hasPeers(this.#host, PEERS)) || undefined, 60)
    await pause(WATCHED_SECONDS)
    await flanneld.end()
    using changes = new Changes(this.#host)
    await changes.quiet()
  }

  /** Milliseconds until the daemon says that it is ready. */
  async restart(store: TestStore, note: (progress: string) => void): Promise<number> {
    using changes = new Changes(this.#host)
    const started = performance.now()
    await using flanneld = Flanneld.launch(this.#host, store, { make: this.make })
    await flanneld.process.line(/flannel is ready|Running backend/)
    const milliseconds = performance.now() - started
    await pause(WATCHED_SECONDS)
    const seen = await changes.take()
    this.changes.push(seen.length)
    note(`${this.make}: says that it runs after ${milliseconds.toFixed(0)} ms; ${words(seen)}`)
    await flanneld.end()
    return milliseconds
  }
}

/** What changed, each kind counted. */
function words(changes: readonly string[]): string {
  const groups = Map.groupBy(changes, (word) => word)
  return [...groups].map(([word, each]) => `${each.length} ${word}`).join(', ') || 'no changes'
}
