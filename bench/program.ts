// Programming VXLAN peers from nothing: the reconciler with its netlink batches, from the wish to the last
// acknowledgement, beside `ip -batch` and `bridge -batch` doing the same in the same kind of namespace.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDataplane } from '../src/dataplane/open.ts'
import type { Reconciler } from '../src/dataplane/reconciler.ts'
import { fdbEntry, link, neighbour, nexthop, route, type KernelObject } from '../src/model/kernel.ts'
import { kernel, type TestHost } from '../test/support/kernel.ts'
import { ip, mac, prefix } from '../test/support/values.ts'
import { rounds, type Bench, type Figure } from './measure.ts'
import { NETWORK, peers, type Peer } from './peers.ts'

const SIZES: readonly { readonly peers: number; readonly rounds: number; readonly withinMs: number }[] = [
  { peers: 1000, rounds: 9, withinMs: 100 },
  { peers: 5000, rounds: 5, withinMs: 300 },
  { peers: 20_000, rounds: 3, withinMs: 1000 },
]
const DEVICE = 'flannel.1'
const OWN_IP = '192.168.100.1'
const OWN_MAC = '02:42:00:00:ff:01'
const scope = { links: new Set([DEVICE]), networks: [prefix(NETWORK)], tables: new Set<string>() }

export const program: Bench = {
  name: 'program',
  what: 'neighbour, FDB entry and route of each VXLAN peer into the kernel, beside ip -batch and bridge -batch',
  async run(note) {
    const figures: Figure[] = []
    for (const size of SIZES) {
      const list = peers(size.peers)
      const told =
        (name: string, act: (host: TestHost, list: readonly Peer[]) => Promise<number>) => async () => {
          await using host = await underlay()
          const milliseconds = await act(host, list)
          await complete(host, list.length)
          note(`${list.length} peers, ${name}: ${milliseconds.toFixed(0)} ms`)
          return milliseconds
        }
      const taken = await rounds(size.rounds, {
        heddle: told('heddle', byHeddle),
        ip: told('ip -batch', byIp),
      })
      figures.push({
        what: `programming ${size.peers} VXLAN peers`,
        unit: 'ms',
        heddle: taken.heddle,
        beside: { name: 'ip -batch + bridge -batch', values: taken.ip },
        goals: [
          { of: 'value', atMost: size.withinMs },
          { of: 'ratio', atMost: 1 },
        ],
      })
    }
    return figures
  },
}

async function underlay(): Promise<TestHost> {
  const host = await kernel()
  await host.sh(
    `ip link add eth0 type veth peer name wire; ip link set wire up; ip link set eth0 up; ip addr add ${OWN_IP}/24 dev eth0`,
  )
  return host
}

async function byHeddle(host: TestHost, list: readonly Peer[]): Promise<number> {
  await using reconciler = openDataplane(scope, { namespace: host.namespace })
  reconciler.want('devices', [device])
  await settled(reconciler)
  const wishes = list.map((peer) => [`lease ${peer.subnet}`, objectsOf(peer)] as const)
  const started = performance.now()
  for (const [source, objects] of wishes) reconciler.want(source, objects)
  await settled(reconciler)
  return performance.now() - started
}

async function settled(reconciler: Reconciler): Promise<void> {
  await reconciler.settled(AbortSignal.timeout(60_000))
  const [failure] = reconciler.failures
  if (failure !== undefined) throw new Error(`${failure[0]}: ${failure[1].reason}`)
}

const device = link({
  name: DEVICE,
  mac: mac(OWN_MAC),
  mtuBytes: 1450,
  vxlan: { vni: 1, port: 8472, local: ip(OWN_IP), underlay: 'eth0', learning: false, gbp: false },
})

/** What the vxlan back end plans for a peer. */
function objectsOf(peer: Peer): readonly KernelObject[] {
  const via = ip(peer.base)
  return [
    neighbour({ link: DEVICE, ip: via, mac: mac(peer.mac) }),
    fdbEntry({ link: DEVICE, mac: mac(peer.mac), dst: ip(peer.publicIp) }),
    nexthop({ via, link: DEVICE, onLink: true }),
    route({ to: prefix(peer.subnet), via, link: DEVICE, onLink: true, through: 'nexthop' }),
  ]
}

/** The files are written before the clock starts. */
async function byIp(host: TestHost, list: readonly Peer[]): Promise<number> {
  await host.sh(
    `ip link add ${DEVICE} mtu 1450 address ${OWN_MAC} type vxlan id 1 local ${OWN_IP} dev eth0 dstport 8472 nolearning; ip link set ${DEVICE} up`,
  )
  const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'))
  try {
    const write = (name: string, lines: readonly string[]) => {
      const path = join(folder, name)
      writeFileSync(path, `${lines.join('\n')}\n`)
      return path
    }
    const neighbours = list.map((p) => `neigh replace ${p.base} lladdr ${p.mac} dev ${DEVICE} nud permanent`)
    const entries = list.map((p) => `fdb replace ${p.mac} dev ${DEVICE} dst ${p.publicIp} self permanent`)
    const routes = list.map((p) => `route replace ${p.subnet} via ${p.base} dev ${DEVICE} onlink`)
    const batches = [
      ['ip', write('neighbours', neighbours)],
      ['bridge', write('fdb', entries)],
      ['ip', write('routes', routes)],
    ] as const
    const started = performance.now()
    for (const [command, file] of batches) {
      const done = host.namespace.run(() => spawnSync(command, ['-batch', file], { encoding: 'utf8' }))
      if (done.status !== 0) throw new Error(`${command} -batch failed: ${done.stderr}`)
    }
    return performance.now() - started
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function complete(host: TestHost, count: number): Promise<void> {
  const counts = await host.sh(`
    ip neigh show dev ${DEVICE} nud permanent | wc -l
    bridge fdb show dev ${DEVICE} | grep -c dst
    ip route show dev ${DEVICE} | wc -l
  `)
  if (
    counts
      .trim()
      .split(/\s+/)
      .some((text) => Number(text) !== count)
  )
    throw new Error(`neighbours, FDB entries and routes for ${count} peers: ${counts}`)
}
