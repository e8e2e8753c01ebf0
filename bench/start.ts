// From the start of the process until all peers are in the kernel, beside upstream: a real etcd holds the leases
// before, each start is on a host that never ran a flanneld.
import { Recorder } from '../test/support/changes.ts'
import { Flanneld, type Make } from '../test/support/flanneld.ts'
import { Segment } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { rounds, type Bench, type Figure } from './measure.ts'
import { HOSTS_FROM, NETWORK, pause, peers, putLeases, type Peer } from './peers.ts'

const SIZES: readonly { readonly peers: number; readonly rounds: number }[] = [
  { peers: 1000, rounds: 5 },
  { peers: 5000, rounds: 3 },
]
/** rtnetlink group of IPv4 routes, and the message that announces one. */
const IPV4_ROUTE = 7
const RTM_NEWROUTE = 24

export const start: Bench = {
  name: 'start',
  what: 'process start to all VXLAN peers in the kernel, real etcd on the segment, a fresh host each time',
  async run(note) {
    const figures: Figure[] = []
    for (const size of SIZES) {
      await using segment = await Segment.create(0)
      await using store = await TestStore.start('etcd', segment, config())
      const list = peers(size.peers)
      putLeases(store, list)
      let number = 0
      const once = async (make: Make): Promise<number> => {
        const seconds = await timed(segment, store, make, list, ++number)
        note(`${size.peers} peers, ${make}: ${(seconds * 1000).toFixed(0)} ms`)
        return seconds * 1000
      }
      const taken = await rounds(size.rounds, {
        heddle: () => once('heddle'),
        upstream: () => once('upstream'),
      })
      figures.push({
        what: `start to ${size.peers} peers`,
        unit: 'ms',
        heddle: taken.heddle,
        beside: { name: 'upstream flanneld', values: taken.upstream },
        ...(size.peers === 1000 ? { goal: { of: 'ratio', atMost: 0.2 } } : {}),
      })
    }
    return figures
  },
}

const config = (): string =>
  networkConfig({ Type: 'vxlan' }, { Network: NETWORK, SubnetLen: 24, SubnetMin: HOSTS_FROM })

async function timed(
  segment: Segment,
  store: TestStore,
  make: Make,
  list: readonly Peer[],
  number: number,
): Promise<number> {
  const host = await segment.addHost(number)
  using routes = new Recorder(host, 'route', [IPV4_ROUTE])
  const missing = new Set(list.map((peer) => peer.base))
  const started = performance.now()
  await using flanneld = Flanneld.launch(host, store, { make })
  while (missing.size > 0) {
    await pause(0.002)
    for (const { type, body } of routes.take())
      if (type === RTM_NEWROUTE) missing.delete(destination(body) ?? '')
    if (!flanneld.process.running)
      throw new Error(
        `${make} flanneld ended with ${missing.size} peers missing:\n${flanneld.process.tail()}`,
      )
    if (performance.now() - started > 60_000)
      throw new Error(`${missing.size} peers are missing after a minute:\n${flanneld.process.tail()}`)
  }
  const seconds = (performance.now() - started) / 1000
  await complete(segment, number, list.length)
  return seconds
}

/** The route was each peer's last object: its neighbour and FDB entry must be there already. */
async function complete(segment: Segment, number: number, count: number): Promise<void> {
  const host = segment.host(number)
  const neighbours = await host.sh('ip neigh show dev flannel.1 nud permanent | wc -l')
  const entries = await host.sh('bridge fdb show dev flannel.1 | grep -c dst')
  if (Number(neighbours) < count || Number(entries) < count)
    throw new Error(
      `only ${neighbours.trim()} neighbours and ${entries.trim()} FDB entries for ${count} peers`,
    )
}

/** RTA_DST of a /24 in struct rtmsg's message (linux/rtnetlink.h). */
function destination(body: Uint8Array): string | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  if (body[1] !== 24) return undefined
  for (let at = 12; at + 4 <= body.length;) {
    const length = view.getUint16(at, true)
    if (view.getUint16(at + 2, true) === 1) return body.subarray(at + 4, at + 8).join('.')
    at += Math.max(4, (length + 3) & ~3)
  }
  return undefined
}
