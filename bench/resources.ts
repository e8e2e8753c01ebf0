// Memory and processor time of the daemon at 1,000 peers, beside upstream's on another host of the same segment:
// idle, and while something else on the host changes a thousand neighbours a second.
import { neighbourChanges } from '../test/support/busy.ts'
import { Flanneld } from '../test/support/flanneld.ts'
import { cpuSeconds, eventually, residentMebibytes } from '../test/support/process.ts'
import { Segment, type Host } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import type { Bench } from './measure.ts'
import { HOSTS_FROM, NETWORK, pause, peers, putLeases } from './peers.ts'

const PEERS = 1000
/** For the work after a start to be over: retries, collected garbage. */
const SETTLE_SECONDS = 30
const IDLE_SECONDS = 60
const BUSY_SECONDS = 15
const CHANGES_A_SECOND = 1000

export const resources: Bench = {
  name: 'resources',
  what: `memory and CPU at ${PEERS} peers: ${IDLE_SECONDS} s idle, ${BUSY_SECONDS} s beside ${CHANGES_A_SECOND} foreign neighbour changes a second`,
  async run(note) {
    await using segment = await Segment.create(2)
    const config = networkConfig(
      { Type: 'vxlan' },
      { Network: NETWORK, SubnetLen: 24, SubnetMin: HOSTS_FROM },
    )
    await using store = await TestStore.start('etcd', segment, config)
    putLeases(store, peers(PEERS))
    await using heddle = await Flanneld.start(segment.host(1), store)
    await using upstream = await Flanneld.start(segment.host(2), store, { make: 'upstream' })
    const both = [heddle, upstream] as const
    for (const { host } of both) await eventually('all routes are there', () => hasRoutes(host), 60)
    await pause(SETTLE_SECONDS)

    note(`idle for ${IDLE_SECONDS} s …`)
    const idle = await shares(both, IDLE_SECONDS)
    const memory = both.map((flanneld) => residentMebibytes(flanneld.process.pid))
    note(`${CHANGES_A_SECOND} foreign neighbour changes a second for ${BUSY_SECONDS} s …`)
    const noise = both.map(({ host }) => neighbourChanges(host, 'eth0', CHANGES_A_SECOND, BUSY_SECONDS))
    const busy = await shares(both, BUSY_SECONDS)
    for (const made of await Promise.all(noise)) note(`${made} changes made`)

    const name = 'upstream flanneld'
    const figure = (
      what: string,
      unit: string,
      [ours = NaN, theirs = NaN]: readonly number[],
      atMost: number,
    ) => ({
      what,
      unit,
      heddle: [ours],
      beside: { name, values: [theirs] },
      goal: { of: 'value', atMost } as const,
    })
    return [
      figure(`memory at ${PEERS} peers`, 'MiB', memory, 70),
      figure('CPU while idle', '% of a core', idle, 0.1),
      figure('CPU on a busy host', '% of a core', busy, 3),
    ]
  },
}

async function hasRoutes(host: Host): Promise<true | undefined> {
  return Number(await host.sh('ip route show dev flannel.1 | wc -l')) >= PEERS ? true : undefined
}

/** Percent of a core each used over the same stretch. */
async function shares(list: readonly Flanneld[], seconds: number): Promise<number[]> {
  const started = performance.now()
  const before = list.map(({ process }) => cpuSeconds(process.pid))
  await pause(seconds)
  const elapsed = (performance.now() - started) / 1000
  return list.map(({ process }, index) => ((cpuSeconds(process.pid) - (before[index] ?? 0)) / elapsed) * 100)
}
