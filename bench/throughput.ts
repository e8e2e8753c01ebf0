// Throughput from pod to pod, over what heddle made beside the same devices made by hand with ip: two pairs of hosts,
// in turns, one TCP stream each time.
import { writeFileSync } from 'node:fs'
import { Flanneld } from '../test/support/flanneld.ts'
import { Running } from '../test/support/process.ts'
import { POD_NETWORK, Segment, type Host, type Pod } from '../test/support/segment.ts'
import { networkConfig, TestStore } from '../test/support/stores.ts'
import { rounds, type Bench, type Figure } from './measure.ts'
import { pause } from './peers.ts'

const ROUNDS = 24
const SECONDS = 1
type Type = 'vxlan' | 'host-gw'

export const throughput: Bench = {
  name: 'throughput',
  what: `one TCP stream from pod to pod, ${ROUNDS} rounds of ${SECONDS} s in turns, beside devices made by hand`,
  async run(note) {
    const figures: Figure[] = []
    for (const type of ['vxlan', 'host-gw'] as const) {
      await using ours = await Segment.create(2)
      await using store = await TestStore.start('etcd', ours, networkConfig({ Type: type }))
      await using first = await Flanneld.start(ours.host(1), store)
      await using second = await Flanneld.start(ours.host(2), store)
      await using byHand = await Segment.create(2)
      await makeByHand(type, byHand)
      const [heddle, ip] = [await pair(ours), await pair(byHand)]
      await using _ = await serve(heddle.to)
      await using __ = await serve(ip.to)
      const side =
        (name: string, { from, to }: Pair) =>
        async () => {
          const gigabits = await measure(from, to)
          note(`${type}, ${name}: ${gigabits.toFixed(2)} Gb/s`)
          return gigabits
        }
      const taken = await rounds(ROUNDS, { heddle: side('heddle', heddle), ip: side('by hand', ip) })
      figures.push({
        what: `throughput over ${type}`,
        unit: 'Gb/s',
        heddle: taken.heddle,
        beside: { name: 'made by hand with ip', values: taken.ip },
        goals: [{ of: 'ratio', atLeast: 0.98 }],
      })
      for (const flanneld of [first, second])
        if (!flanneld.process.running) throw new Error(`flanneld ended: ${flanneld.process.tail()}`)
    }
    return figures
  },
}

interface Pair {
  readonly from: Pod
  readonly to: Pod
}

async function pair(segment: Segment): Promise<Pair> {
  const made = { from: await segment.host(1).pod(), to: await segment.host(2).pod() }
  for (let tries = 0; !(await made.from.reaches(made.to.ip)); tries++)
    if (tries === 10) throw new Error(`${made.from.ip} does not reach ${made.to.ip}`)
  return made
}

/** Both ends run before whatever else the machine does: it would disturb the two sides unequally. */
async function serve(pod: Pod): Promise<Running> {
  const server = Running.start('nice', ['-n', '-20', 'iperf3', '-s', '--forceflush'], {
    namespace: pod.namespace,
  })
  await server.line(/Server listening/)
  return server
}

async function measure(from: Pod, to: Pod): Promise<number> {
  const report = JSON.parse(await from.sh(`nice -n -20 iperf3 -c ${to.ip} -t ${SECONDS} -J`)) as {
    end: { sum_received: { bits_per_second: number } }
  }
  await pause(0.1)
  return report.end.sum_received.bits_per_second / 1e9
}

/** What a person with ip(8) and bridge(8) would type for the same network. */
async function makeByHand(type: Type, segment: Segment): Promise<void> {
  for (const host of segment.hosts) {
    const subnet = subnetOf(host)
    const mtu = type === 'vxlan' ? 1450 : 1500
    const gateway = subnet.replace('.0/', '.1/')
    writeFileSync(
      host.subnetFile,
      `FLANNEL_NETWORK=${POD_NETWORK}\nFLANNEL_SUBNET=${gateway}\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=false\n`,
    )
    if (type === 'vxlan')
      await host.sh(
        `ip link add flannel.1 mtu 1450 address ${macOf(host)} type vxlan id 1 local ${host.ip} dev eth0 dstport 8472 nolearning
        ip addr add ${subnet.replace('/24', '/32')} dev flannel.1; ip link set flannel.1 up`,
      )
  }
  for (const host of segment.hosts)
    for (const peer of segment.hosts.filter((other) => other !== host)) {
      const base = subnetOf(peer).replace('/24', '')
      await host.sh(
        type === 'host-gw'
          ? `ip route add ${subnetOf(peer)} via ${peer.ip} dev eth0`
          : `ip neigh add ${base} lladdr ${macOf(peer)} dev flannel.1 nud permanent
            bridge fdb add ${macOf(peer)} dev flannel.1 dst ${peer.ip} self permanent
            ip route add ${subnetOf(peer)} via ${base} dev flannel.1 onlink`,
      )
    }
}

const numberOf = (host: Host): string => host.ip.slice(host.ip.lastIndexOf('.') + 1)
const subnetOf = (host: Host): string => `10.244.${numberOf(host)}.0/24`
const macOf = (host: Host): string => `02:42:00:00:01:${numberOf(host).padStart(2, '0')}`
