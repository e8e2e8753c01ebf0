// From the start of the process until all peers are in the kernel, beside upstream: a real etcd holds the leases
// before, each start is on a host that never ran a flanneld.
import { GROUP } from '../src/netlink/monitor.ts'
import { parseRoute } from '../src/netlink/route-info.ts'
import { RTM_ROUTE } from '../src/netlink/route.ts'
import { Recorder } from '../test/support/changes.ts'
import { Flanneld, type Make } from '../test/support/flanneld.ts'
import { Segment, type Host } from '../test/support/segment.ts'
import { TestStore } from '../test/support/stores.ts'
import { rounds, type Bench, type Figure } from './measure.ts'
import { pause, peers, putLeases, UNDERLAY, type Peer, type PeerType } from './peers.ts'
import { benchConfig, UPSTREAM } from './side-by-side.ts'

interface Size {
  readonly type: PeerType
  readonly peers: number
  readonly rounds: number
  /** Of upstream's time. */
  readonly ratio: number
}
const SIZES: readonly Size[] = [
  { type: 'vxlan', peers: 1000, rounds: 5, ratio: 1 / 5 },
  { type: 'vxlan', peers: 5000, rounds: 3, ratio: 1 / 8 },
  { type: 'host-gw', peers: 3000, rounds: 2, ratio: 1 / 50 },
]
const LONGEST_MS = 120_000

export const start: Bench = {
  name: 'start',
  what: 'process start to all peers in the kernel, real etcd on the segment, a fresh host each time',
  async run(note) {
    const figures: Figure[] = []
    for (const size of SIZES) figures.push(await measure(size, note))
    return figures
  },
}

async function measure(size: Size, note: (progress: string) => void): Promise<Figure> {
  await using segment = await Segment.create(0)
  await using store = await TestStore.start('etcd', segment, benchConfig({ Type: size.type }))
  const list = peers(size.peers)
  putLeases(store, list, size.type)
  const what = `${size.peers} ${size.type} peers`
  let number = 0
  const once = async (make: Make): Promise<number> => {
    const host = await segment.addHost(++number)
    // Host-gw's peers are on the same link.
    await host.sh(`ip addr add ${UNDERLAY.replace('.0.0/', `.255.${number}/`)} dev eth0`)
    const milliseconds = await timed(host, store, make, list)
    if (size.type === 'vxlan') await complete(host, list.length)
    note(`${what}, ${make}: ${milliseconds.toFixed(0)} ms`)
    return milliseconds
  }
  const taken = await rounds(size.rounds, {
    heddle: () => once('heddle'),
    upstream: () => once('upstream'),
  })
  return {
    what: `start to ${what}`,
    unit: 'ms',
    heddle: taken.heddle,
    beside: { name: UPSTREAM, values: taken.upstream },
    goals: [{ of: 'ratio', atMost: size.ratio }],
  }
}

async function timed(host: Host, store: TestStore, make: Make, list: readonly Peer[]): Promise<number> {
  using routes = new Recorder(host, 'route', [GROUP.ipv4Route])
  const missing = new Set<string>(list.map((peer) => peer.subnet))
  const started = performance.now()
  await using flanneld = Flanneld.launch(host, store, { make })
  while (missing.size > 0) {
    await pause(0.002)
    for (const { type, body } of routes.take())
      if (type === RTM_ROUTE.put) missing.delete(parseRoute(body)?.to ?? '')
    if (!flanneld.process.running)
      throw new Error(
        `${make} flanneld ended with ${missing.size} peers missing:\n${flanneld.process.tail()}`,
      )
    if (performance.now() - started > LONGEST_MS)
      throw new Error(
        `${missing.size} peers are missing after ${LONGEST_MS / 1000} s:\n${flanneld.process.tail()}`,
      )
  }
  return performance.now() - started
}

/** The route was each peer's last object: its neighbour and FDB entry must be there already. */
async function complete(host: Host, count: number): Promise<void> {
  const neighbours = await host.sh('ip neigh show dev flannel.1 nud permanent | wc -l')
  const entries = await host.sh('bridge fdb show dev flannel.1 | grep -c dst')
  if (Number(neighbours) < count || Number(entries) < count)
    throw new Error(
      `only ${neighbours.trim()} neighbours and ${entries.trim()} FDB entries for ${count} peers`,
    )
}
