// A host changes over from upstream's flanneld v0.28.9 to heddle's and back, in both families at once, under traffic of
// both: devices, neighbours, FDB entries and routes are taken over in place, and no packet is lost.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld, type Make } from './support/flanneld.ts'
import { eventually } from './support/process.ts'
import { Segment, type Host } from './support/segment.ts'
import { networkConfig, TestStore } from './support/stores.ts'
import { Traffic } from './support/traffic.ts'
import { needsUpstream } from './support/upstream.ts'

setDefaultTimeout(60_000)
needsUpstream()

const IPV6_NETWORK = { EnableIPv6: true, IPv6Network: 'fd00:5::/48', IPv6SubnetMin: 'fd00:5:0:100::' }
const TURNS: readonly Make[] = ['heddle', 'upstream', 'heddle']
/** Devices by index, name and MAC. */
const devices = (host: Host) =>
  host.sh(
    `ip -br link show type vxlan; for d in $(ls /sys/class/net | grep flannel); do ip -o link show $d | cut -d: -f1; done`,
  )

describe.concurrent('from upstream to heddle, back, and again:', () => {
  for (const [what, backend] of [
    ['vxlan', { Type: 'vxlan' }],
    ['vxlan with DirectRouting', { Type: 'vxlan', DirectRouting: true }],
    ['host-gw', { Type: 'host-gw' }],
  ] as const)
    test(what, async () => {
      await using segment = await Segment.create(2, 'dual')
      await using store = await TestStore.start('etcd', segment, networkConfig(backend, IPV6_NETWORK))
      const [host, other] = [segment.host(1), segment.host(2)]
      let turn = await Flanneld.start(host, store, { make: 'upstream' })
      await using stack = new AsyncDisposableStack()
      stack.defer(() => turn[Symbol.asyncDispose]())
      await using _ = await Flanneld.start(other, store, { make: 'upstream' })
      const [from, to] = [await host.pod(), await other.pod()]
      for (const ip of to.ips)
        await eventually(`${ip} is reached`, async () => (await from.reaches(ip)) || undefined, 20)
      const before = await devices(host)
      const streams = await Promise.all(to.ips.map((ip) => Traffic.start(from.namespace, ip)))
      for (const stream of streams) stack.use(stream)
      for (const make of TURNS) {
        await turn.end('SIGTERM')
        turn = await Flanneld.start(host, store, { make })
        // What either does a little later counts, too.
        await new Promise((resolve) => setTimeout(resolve, 400))
        expect(await devices(host)).toBe(before)
      }
      const counts = await Promise.all(streams.map((stream) => stream.stop()))
      expect(counts.map(({ lost }) => lost)).toEqual([0, 0])
      for (const { sent } of counts) expect(sent).toBeGreaterThan(20)
    })
})
