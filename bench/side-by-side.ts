// heddle's daemon and upstream's on two hosts of one segment, with one store and the same made-up peers; and the
// processor time that both take over the same stretch.
import { Flanneld } from '../test/support/flanneld.ts'
import { cpuSeconds, eventually } from '../test/support/process.ts'
import { Segment, type Host } from '../test/support/segment.ts'
import { networkConfig, TestStore, type BackendChoice } from '../test/support/stores.ts'
import type { Figure, Goal } from './measure.ts'
import { HOSTS_FROM, NETWORK, pause, peers, putLeases, type Peer } from './peers.ts'

export const UPSTREAM = 'upstream flanneld'

/** A network that has room for the made-up peers and for hosts beside them. */
export const benchConfig = (backend: BackendChoice): string =>
  networkConfig(backend, { Network: NETWORK, SubnetLen: 24, SubnetMin: HOSTS_FROM })

export interface SideBySide extends AsyncDisposable {
  readonly segment: Segment
  readonly store: TestStore
  readonly peers: readonly Peer[]
  readonly heddle: Flanneld
  readonly upstream: Flanneld
  readonly both: readonly [Flanneld, Flanneld]
}

/** VXLAN, with all peers in both kernels. */
export async function sideBySide(peerCount: number): Promise<SideBySide> {
  await using parts = new AsyncDisposableStack()
  const segment = parts.use(await Segment.create(2))
  const store = parts.use(await TestStore.start('etcd', segment, benchConfig({ Type: 'vxlan' })))
  const list = peers(peerCount)
  putLeases(store, list)
  const heddle = parts.use(await Flanneld.start(segment.host(1), store, { make: 'heddle' }))
  const upstream = parts.use(await Flanneld.start(segment.host(2), store, { make: 'upstream' }))
  const both = [heddle, upstream] as const
  for (const { host } of both)
    await eventually('all peers are there', async () => (await hasPeers(host, peerCount)) || undefined, 60)
  const all = parts.move()
  return {
    segment,
    store,
    peers: list,
    heddle,
    upstream,
    both,
    [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
  }
}

/** Whether the route of each peer, its last object, is there. */
export async function hasPeers(host: Host, count: number): Promise<boolean> {
  return Number(await host.sh('ip route show dev flannel.1 | wc -l')) >= count
}

/** Percent of a core that each took while `act` ran, children that have ended included. */
export async function shares(
  list: readonly Flanneld[],
  act: (() => Promise<unknown>) | { readonly seconds: number },
): Promise<readonly [number, number]> {
  const started = performance.now()
  const before = list.map(({ process }) => cpuSeconds(process.pid))
  await ('seconds' in act ? pause(act.seconds) : act())
  const elapsed = (performance.now() - started) / 1000
  const [ours = NaN, theirs = NaN] = list.map(
    ({ process }, index) => ((cpuSeconds(process.pid) - (before[index] ?? 0)) / elapsed) * 100,
  )
  return [ours, theirs]
}

/** One value of each, and what heddle's should be. */
export const figureOf = (
  what: string,
  unit: string,
  [ours, theirs]: readonly [number, number],
  goal?: Goal,
): Figure => ({
  what,
  unit,
  heddle: [ours],
  beside: { name: UPSTREAM, values: [theirs] },
  ...(goal && { goals: [goal] }),
})

/** A goal for heddle's value alone. */
export const atMost = (most: number): Goal => ({ of: 'value', atMost: most })
