// Leases that change: how soon another host's kernel shows it, and what a thousand hosts' changes cost a daemon; beside
// upstream on another host of the same segment. No update may be lost.
import { GROUP } from '../src/netlink/monitor.ts'
import { parseNeighbour, RTM_NEIGHBOUR } from '../src/netlink/neighbour.ts'
import { Recorder } from '../test/support/changes.ts'
import type { Host } from '../test/support/segment.ts'
import { changeLeases, leaseWriter } from './lease-changes.ts'
import { percentile, type Bench, type Figure } from './measure.ts'
import { macAfter, pause, peers } from './peers.ts'
import { atMost, figureOf, shares, sideBySide, type SideBySide, UPSTREAM } from './side-by-side.ts'

const PEERS = 1000
const SETTLE_SECONDS = 10
const SLOW = { changes: 400, aSecond: 40 }
const FAST = { changes: 8_000, aSecond: 200 }

export const churn: Bench = {
  name: 'churn',
  what: `${SLOW.changes} lease changes, ${SLOW.aSecond} a second, until each is in the kernel; then ${FAST.changes} of ${PEERS} hosts, ${FAST.aSecond} a second`,
  async run(note) {
    await using sides = await sideBySide(PEERS)
    const { both } = sides
    await pause(SETTLE_SECONDS)
    const figures = await latencies(sides)
    note(`${FAST.changes} changes, ${FAST.aSecond} a second …`)
    const cpu = await shares(both, () => changeLeases(sides, FAST))
    await pause(2)
    const [ours = NaN, theirs = NaN] = await Promise.all(both.map(({ host }) => lostUpdates(host)))
    return [
      ...figures,
      figureOf(`CPU at ${FAST.aSecond} lease changes a second`, '% of a core', cpu, atMost(15)),
      figureOf('lease changes lost', `of ${FAST.changes}`, [ours, theirs], atMost(0)),
    ]
  },
}

/** From a change's way to the store until its FDB entry, the last of its objects, is in the host's kernel. */
async function latencies(sides: SideBySide): Promise<Figure[]> {
  using recorders = new DisposableStack()
  const hosts = sides.both.map(({ host }) => ({
    recorder: recorders.use(new Recorder(host, 'route', [GROUP.neighbour])),
    seen: new Map<string, number>(),
  }))
  await using writer = leaseWriter(sides, SLOW)
  const deadline = performance.now() + (SLOW.changes / SLOW.aSecond) * 1000 + 10_000
  while (hosts.some(({ seen }) => seen.size < SLOW.changes) && performance.now() < deadline) {
    await pause(0.001)
    const now = performance.timeOrigin + performance.now()
    for (const { recorder, seen } of hosts)
      for (const { type, body } of recorder.take())
        if (type === RTM_NEIGHBOUR.put) {
          const found = parseNeighbour(body)
          if (found?.kind === 'fdb' && !seen.has(found.mac)) seen.set(found.mac, now)
        }
  }
  await writer.line(/^done$/)
  const sent = new Map(
    writer.matching(/^[0-9a-f:]{17} [\d.]+$/).map((line) => {
      const [mac = '', at = ''] = line.split(' ')
      return [mac, Number(at)]
    }),
  )
  const taken = hosts.map(({ seen }) =>
    [...sent].map(([mac, at]) => {
      const shown = seen.get(mac)
      return shown === undefined ? Infinity : shown - at
    }),
  )
  const [ours = [], theirs = []] = taken
  return [
    {
      what: 'lease change to kernel',
      unit: 'ms',
      heddle: ours,
      beside: { name: UPSTREAM, values: theirs },
    },
    figureOf(
      'lease change to kernel, p99',
      'ms',
      [percentile(ours, 99), percentile(theirs, 99)],
      atMost(100),
    ),
  ]
}

/** Peers whose neighbour hasn't the MAC of the last change to it. */
async function lostUpdates(host: Host): Promise<number> {
  const neighbours = await host.sh('ip neigh show dev flannel.1 nud permanent')
  const have = new Map([...neighbours.matchAll(/^(\S+) lladdr (\S+)/gm)].map((match) => [match[1], match[2]]))
  const list = peers(PEERS)
  return list.filter((peer, index) => have.get(peer.base) !== macAfter(lastChangeOf(index))).length
}

const lastChangeOf = (index: number): number => FAST.changes - ((FAST.changes - index) % PEERS)
