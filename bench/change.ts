// One lease of 5,000 changes: what that costs the daemon, and how many messages change the kernel; and what the look at
// everything costs after notifications were lost. Upstream, which looks at nothing, beside.
import { GROUP } from '../src/netlink/monitor.ts'
import { addRoute, PROTOCOL, removeRoute } from '../src/netlink/route.ts'
import { Recorder } from '../test/support/changes.ts'
import type { Flanneld } from '../test/support/flanneld.ts'
import { eventually } from '../test/support/process.ts'
import type { Host } from '../test/support/segment.ts'
import { leaseKey, vxlanLease } from '../test/support/stores.ts'
import { prefix } from '../test/support/values.ts'
import { CpuClock } from './cpu.ts'
import type { Bench } from './measure.ts'
import { macAfter, pause } from './peers.ts'
import { atMost, sideBySide, UPSTREAM, type SideBySide } from './side-by-side.ts'

const PEERS = 5000
/** For the work after a start to be over: the first audit, and Bun's collections once a second while the heap changes. */
const SETTLE_SECONDS = 40
const CHANGES = 30
/** For a change to be over, and the daemon idle again. */
const BETWEEN_SECONDS = 0.4
const OVERRUNS = 5
/** More notifications than wait unread in a monitor's buffer of 8 MiB. */
const STORM = { routes: 2000, times: 8 }
const GROUPS = [GROUP.link, GROUP.neighbour, GROUP.ipv4Address, GROUP.ipv4Route, GROUP.nexthop]

export const change: Bench = {
  name: 'change',
  what: `one lease of ${PEERS} changed, ${CHANGES} times; ${OVERRUNS} looks at everything after lost notifications`,
  async run(note) {
    await using sides = await sideBySide(PEERS)
    const { heddle, upstream } = sides
    await pause(SETTLE_SECONDS)
    const looksBefore = await looks(heddle)
    const cpu: [number[], number[]] = [[], []]
    const messages: [number[], number[]] = [[], []]
    for (let number = 1; number <= CHANGES; number++)
      for (const [side, one] of (await changed(sides, number)).entries()) {
        cpu[side]?.push(one.milliseconds)
        messages[side]?.push(one.messages)
      }
    const looked = (await looks(heddle)) - looksBefore
    note(`${CHANGES} changes: ${looked} tables read again`)
    const afterLoss: number[] = []
    for (let times = 0; times < OVERRUNS; times++) {
      afterLoss.push(await overrun(heddle))
      note(`after an overrun: ${afterLoss.at(-1)?.toFixed(0)} ms of CPU`)
    }
    for (const { process } of [heddle, upstream])
      if (!process.running) throw new Error(`${process.name} ended:\n${process.tail()}`)
    const beside = (values: readonly number[]) => ({ name: UPSTREAM, values })
    return [
      {
        what: `one lease of ${PEERS} changed`,
        unit: 'ms of CPU',
        heddle: cpu[0],
        beside: beside(cpu[1]),
        goals: [atMost(5)],
      },
      {
        what: 'changes to the kernel by it',
        unit: 'messages',
        heddle: messages[0],
        beside: beside(messages[1]),
        goals: [atMost(4)],
      },
      { what: 'tables read by it', unit: `of ${CHANGES}`, heddle: [looked], goals: [atMost(0)] },
      {
        what: 'a look at everything after an overrun',
        unit: 'ms of CPU',
        heddle: afterLoss,
        goals: [atMost(50)],
      },
    ]
  },
}

interface Cost {
  readonly milliseconds: number
  readonly messages: number
}

/** A peer's host comes up with another VTEP MAC. What each daemon spends on it until it is idle again. */
async function changed({ store, both, peers }: SideBySide, number: number): Promise<Cost[]> {
  using recorders = new DisposableStack()
  const peer = peers[(number * 211) % peers.length]
  if (peer === undefined) throw new Error('there are no peers')
  const mac = macAfter(number)
  const sides = both.map(({ host, process }) => ({
    host,
    clock: new CpuClock(process.pid),
    recorder: recorders.use(new Recorder(host, 'route', GROUPS)),
  }))
  store.put(leaseKey(peer.subnet), vxlanLease(peer.publicIp, mac))
  await pause(BETWEEN_SECONDS)
  return Promise.all(
    sides.map(async ({ host, clock, recorder }) => {
      const { milliseconds } = clock
      const messages = [...recorder.take()].length
      await eventually(`${mac} is in the FDB`, () => hasMac(host, mac))
      return { milliseconds, messages }
    }),
  )
}

async function hasMac(host: Host, mac: string): Promise<true | undefined> {
  return (await host.sh('bridge fdb show dev flannel.1')).includes(mac) || undefined
}

/** How often the daemon has read a whole table of the kernel's. */
async function looks(flanneld: Flanneld): Promise<number> {
  const { objects } = JSON.parse((await flanneld.ask('/status')).body) as {
    objects: { kinds: Record<string, { dumps: number }> }
  }
  return Object.values(objects.kinds).reduce((sum, { dumps }) => sum + dumps, 0)
}

/** The daemon can't read while more comes in than waits for it. Milliseconds of CPU until it is idle again. */
async function overrun(flanneld: Flanneld): Promise<number> {
  const before = await looks(flanneld)
  flanneld.process.signal('SIGSTOP')
  const clock = new CpuClock(flanneld.process.pid)
  storm(flanneld.host)
  flanneld.process.signal('SIGCONT')
  await pause(2)
  const { milliseconds } = clock
  if ((await looks(flanneld)) === before) throw new Error('no notification was lost')
  return milliseconds
}

/** Routes of others come and go. */
function storm(host: Host): void {
  const linkIndex = host.index('eth0')
  const routes = Array.from({ length: STORM.routes }, (_, index) => ({
    to: prefix(`198.18.${index >> 8}.${index & 255}/32`),
    linkIndex,
    protocol: PROTOCOL.boot,
  }))
  for (let times = 0; times < STORM.times; times++)
    for (const make of [addRoute, removeRoute]) {
      const failure = host
        .netlink()
        .batch(routes.map(make))
        .find((error) => error !== undefined)
      if (failure !== undefined) throw failure
    }
}
