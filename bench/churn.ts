// Leases that change: how soon another host's kernel shows it, and what a thousand hosts' changes cost a daemon; beside
// upstream on another host of the same segment. No update may be lost.
import { Recorder } from '../test/support/changes.ts'
import { Flanneld, type Make } from '../test/support/flanneld.ts'
import { cpuSeconds, eventually, Running } from '../test/support/process.ts'
import { Segment, type Host } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { percentile, type Bench, type Figure } from './measure.ts'
import { HOSTS_FROM, macAfter, NETWORK, pause, peers, putLeases } from './peers.ts'

const PEERS = 1000
const SETTLE_SECONDS = 10
const SLOW = { changes: 400, aSecond: 40 }
const FAST = { changes: 12_000, aSecond: 200 }
/** rtnetlink group of neighbours and FDB entries, the message that announces one, and its family for the FDB. */
const NEIGHBOUR = 3
const RTM_NEWNEIGH = 28
const AF_BRIDGE = 7

export const churn: Bench = {
  name: 'churn',
  what: `${SLOW.changes} lease changes, ${SLOW.aSecond} a second, until each is in the kernel; then ${FAST.changes} of ${PEERS} hosts, ${FAST.aSecond} a second`,
  async run(note) {
    await using segment = await Segment.create(2)
    const config = networkConfig(
      { Type: 'vxlan' },
      { Network: NETWORK, SubnetLen: 24, SubnetMin: HOSTS_FROM },
    )
    await using store = await TestStore.start('etcd', segment, config)
    putLeases(store, peers(PEERS))
    const start = (number: number, make: Make) => Flanneld.start(segment.host(number), store, { make })
    await using heddle = await start(1, 'heddle')
    await using upstream = await start(2, 'upstream')
    const both = [heddle, upstream] as const
    for (const { host } of both) await eventually('all peers are there', () => hasPeers(host), 60)
    await pause(SETTLE_SECONDS)
    const figures = await latencies(segment, store, both)
    note(`${FAST.changes} changes, ${FAST.aSecond} a second …`)
    const shares = await load(segment, store, both)
    const lost = await Promise.all(both.map(({ host }) => lostUpdates(host)))
    const name = 'upstream flanneld'
    const [[ours = NaN, theirs = NaN], [oursLost = NaN, theirsLost = NaN]] = [shares, lost]
    return [
      ...figures,
      {
        what: `CPU at ${FAST.aSecond} lease changes a second`,
        unit: '% of a core',
        heddle: [ours],
        beside: { name, values: [theirs] },
        goal: { of: 'value', atMost: 15 },
      },
      {
        what: 'lease changes lost',
        unit: `of ${FAST.changes}`,
        heddle: [oursLost],
        beside: { name, values: [theirsLost] },
        goal: { of: 'value', atMost: 0 },
      },
    ]
  },
}

const write = (segment: Segment, store: TestStore, { changes, aSecond }: typeof SLOW): Running =>
  Running.start(
    process.execPath,
    [`${import.meta.dirname}/lease-writer.ts`, store.endpoint, `${PEERS}`, `${changes}`, `${aSecond}`],
    { namespace: segment.switch.namespace },
  )

/** From a change's way to the store until its FDB entry, the last of its objects, is in the host's kernel. */
async function latencies(
  segment: Segment,
  store: TestStore,
  both: readonly { readonly host: Host }[],
): Promise<Figure[]> {
  using recorders = new DisposableStack()
  const sides = both.map(({ host }) => ({
    recorder: recorders.use(new Recorder(host, 'route', [NEIGHBOUR])),
    seen: new Map<string, number>(),
  }))
  await using writer = write(segment, store, SLOW)
  const deadline = performance.now() + (SLOW.changes / SLOW.aSecond) * 1000 + 10_000
  while (sides.some(({ seen }) => seen.size < SLOW.changes) && performance.now() < deadline) {
    await pause(0.001)
    const now = performance.timeOrigin + performance.now()
    for (const { recorder, seen } of sides)
      for (const { type, body } of recorder.take())
        if (type === RTM_NEWNEIGH && body[0] === AF_BRIDGE) {
          const mac = macIn(body)
          if (mac !== undefined && !seen.has(mac)) seen.set(mac, now)
        }
  }
  await writer.line(/^done$/)
  const sent = new Map(
    writer.matching(/^[0-9a-f:]{17} [\d.]+$/).map((line) => {
      const [mac = '', at = ''] = line.split(' ')
      return [mac, Number(at)]
    }),
  )
  const taken = sides.map(({ seen }) =>
    [...sent].map(([mac, at]) => {
      const shown = seen.get(mac)
      return shown === undefined ? Infinity : shown - at
    }),
  )
  const [ours = [], theirs = []] = taken
  const name = 'upstream flanneld'
  return [
    { what: 'lease change to kernel', unit: 'ms', heddle: ours, beside: { name, values: theirs } },
    {
      what: 'lease change to kernel, p99',
      unit: 'ms',
      heddle: [percentile(ours, 99)],
      beside: { name, values: [percentile(theirs, 99)] },
      goal: { of: 'value', atMost: 100 },
    },
  ]
}

/** Percent of a core each used while the changes came in. */
async function load(segment: Segment, store: TestStore, both: readonly Flanneld[]): Promise<number[]> {
  const started = performance.now()
  const before = both.map(({ process }) => cpuSeconds(process.pid))
  await using writer = write(segment, store, FAST)
  await writer.line(/^done$/, { withinSeconds: (FAST.changes / FAST.aSecond) * 2 })
  const seconds = (performance.now() - started) / 1000
  const shares = both.map(
    ({ process }, index) => ((cpuSeconds(process.pid) - (before[index] ?? 0)) / seconds) * 100,
  )
  await pause(2)
  return shares
}

/** Peers whose neighbour hasn't the MAC of the last change to it. */
async function lostUpdates(host: Host): Promise<number> {
  const neighbours = await host.sh('ip neigh show dev flannel.1 nud permanent')
  const have = new Map([...neighbours.matchAll(/^(\S+) lladdr (\S+)/gm)].map((match) => [match[1], match[2]]))
  const list = peers(PEERS)
  return list.filter((peer, index) => have.get(peer.base) !== macAfter(lastChangeOf(index))).length
}

const lastChangeOf = (index: number): number => FAST.changes - ((FAST.changes - index) % PEERS)

async function hasPeers(host: Host): Promise<true | undefined> {
  return Number(await host.sh('ip route show dev flannel.1 | wc -l')) >= PEERS ? true : undefined
}

/** NDA_LLADDR of struct ndmsg's message (linux/neighbour.h). */
function macIn(body: Uint8Array): string | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  for (let at = 12; at + 4 <= body.length;) {
    const length = view.getUint16(at, true)
    if (view.getUint16(at + 2, true) === 2)
      return [...body.subarray(at + 4, at + 10)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
    at += Math.max(4, (length + 3) & ~3)
  }
  return undefined
}
