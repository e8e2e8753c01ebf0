// Memory and processor time of the daemon at 5,000 peers, beside upstream's with the processes that it starts: idle
// with an audit among it, beside others who change neighbours and rules, and after 10,000 lease changes.
import { neighbourChanges } from '../test/support/busy.ts'
import { residentMebibytes } from '../test/support/process.ts'
import { CpuClock } from './cpu.ts'
import { RULES, syncRules } from './kube-proxy.ts'
import { changeLeases } from './lease-changes.ts'
import type { Bench } from './measure.ts'
import { pause } from './peers.ts'
import { atMost, figureOf, shares, sideBySide, type SideBySide } from './side-by-side.ts'

const PEERS = 5000
/** For the work after a start to be over: the first audit, and Bun's collections once a second while the heap changes. */
const SETTLE_SECONDS = 40
/**
 * For a daemon to be at rest after many changes, and to have given back what it doesn't need for that: Bun's collections
 * go on for 30 s.
 */
const REST_SECONDS = 45
/** The longest time between two audits, and a little more. */
const IDLE_SECONDS = 70
const BUSY_SECONDS = 15
const CHANGES_A_SECOND = 1000
const SYNCS = 2
const LEASES = { changes: 10_000, aSecond: 500 }
/** The most that one round of lease changes may leave: what the allocator keeps of the busiest moment differs by so much. */
const GROWTH_MEBIBYTES = 4

export const resources: Bench = {
  name: 'resources',
  what: `memory and CPU at ${PEERS} peers: ${IDLE_SECONDS} s idle; ${BUSY_SECONDS} s beside ${CHANGES_A_SECOND} foreign neighbour changes a second and ${SYNCS} syncs of ${RULES} rules by iptables-restore and nft; ${LEASES.changes} lease changes`,
  async run(note) {
    await using sides = await sideBySide(PEERS)
    const { both } = sides
    await pause(SETTLE_SECONDS)
    note(`idle for ${IDLE_SECONDS} s …`)
    let audit = NaN
    const idle = await shares(both, async () => {
      audit = await costliestSecond(sides.heddle.process.pid, IDLE_SECONDS)
    })
    const memory = resident(sides)
    note(`others are busy for ${BUSY_SECONDS} s …`)
    const busy = await shares(both, () => disturb(sides, note))
    note(`${LEASES.changes} lease changes, ${LEASES.aSecond} a second, and half as many before …`)
    // The first ones find code that has never run.
    await changeLeases(sides, { ...LEASES, changes: LEASES.changes / 2 })
    await pause(REST_SECONDS)
    const before = resident(sides)
    await changeLeases(sides, LEASES)
    await pause(REST_SECONDS)
    const after = resident(sides)
    const told = (memories: readonly number[]) => memories.map(Math.round).join(' and ')
    note(`heddle and upstream: ${told(before)} MiB, then ${told(after)} MiB`)
    return [
      figureOf(`memory at ${PEERS} peers`, 'MiB', memory, atMost(90)),
      figureOf(`memory after ${1.5 * LEASES.changes} lease changes`, 'MiB', after, atMost(90)),
      figureOf(
        `growth over ${LEASES.changes} lease changes`,
        'MiB',
        [after[0] - before[0], after[1] - before[1]],
        atMost(GROWTH_MEBIBYTES),
      ),
      figureOf('CPU while idle', '% of a core', idle, atMost(0.1)),
      { what: 'an audit a minute', unit: 'ms of CPU', heddle: [audit], goals: [atMost(50)] },
      figureOf('CPU on a busy host', '% of a core', busy, atMost(3)),
    ]
  },
}

const resident = ({ heddle, upstream }: SideBySide): [number, number] => [
  residentMebibytes(heddle.process.pid),
  residentMebibytes(upstream.process.pid),
]

/** Milliseconds of CPU in the busiest second: while idle that is the one of an audit. */
async function costliestSecond(pid: number, seconds: number): Promise<number> {
  const ends = performance.now() + seconds * 1000
  const halves: number[] = []
  while (performance.now() < ends) {
    const clock = new CpuClock(pid)
    await pause(0.5)
    halves.push(clock.milliseconds)
  }
  return Math.max(...halves.map((half, index) => half + (halves[index + 1] ?? 0)))
}

/** On both hosts, for `BUSY_SECONDS`. */
async function disturb({ heddle, upstream }: SideBySide, note: (progress: string) => void): Promise<void> {
  const hosts = [heddle.host, upstream.host]
  const noise = hosts.map((host) => neighbourChanges(host, 'eth0', CHANGES_A_SECOND, BUSY_SECONDS))
  for (let number = 1; number <= SYNCS; number++) for (const host of hosts) await syncRules(host, number)
  for (const made of await Promise.all(noise)) note(`${made} neighbour changes and ${SYNCS} syncs made`)
}
