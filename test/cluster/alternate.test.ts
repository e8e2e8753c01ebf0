// Upstream's flanneld v0.28.9 and heddle's take turns on one host, on a cluster with mutual TLS, under traffic: the
// subnet and the VTEP's MAC stay, no packet is lost, and each follows what becomes of the peers.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { EtcdCluster } from '../support/etcd-cluster.ts'
import { leaseKey } from '../support/etcd-keys.ts'
import { Flanneld, type Make } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { networkConfig, vxlanLease } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

const TURNS: readonly Make[] = ['upstream', 'heddle', 'upstream', 'heddle']
const PEER = '10.244.60.0/24'
const PEER_LEASE = {
  vxlan: vxlanLease('192.168.100.60', '02:42:00:00:00:60'),
  'host-gw': '{"PublicIP":"192.168.100.60","PublicIPv6":null,"BackendType":"host-gw"}',
}
const reaches = async (host: Host, subnet: string) => (await host.sh('ip route')).includes(`${subnet} `)
const macOf = (host: Host): string => String(host.link('flannel.1').mac)

for (const type of ['vxlan', 'host-gw'] as const)
  describe(`upstream and heddle in turn, ${type}:`, () => {
    test('same subnet, same MAC, nothing lost, and peers that go are gone', async () => {
      await using segment = await Segment.create(2)
      await using cluster = await EtcdCluster.start(segment, networkConfig({ Type: type }))
      const [host, other] = [segment.host(1), segment.host(2)]
      await using _ = await Flanneld.start(other, cluster)
      let turn = await Flanneld.start(host, cluster)
      await using stack = new AsyncDisposableStack()
      stack.defer(() => turn[Symbol.asyncDispose]())
      const pods = [await host.pod(), await other.pod()] as const
      await eventually(
        'the pods reach each other',
        async () => (await pods[0].reaches(pods[1].ip)) || undefined,
      )
      const identity = () => ({ subnet: host.subnet, mac: type === 'vxlan' ? macOf(host) : '' })
      const before = identity()
      const value = cluster.get(leaseKey(host.subnet))
      await using traffic = await Traffic.start(pods[0].namespace, pods[1].ip)
      for (const make of TURNS) {
        // Known to the one that ends, so that the next finds it in the kernel.
        cluster.put(leaseKey(PEER), PEER_LEASE[type])
        await eventually('the peer is there', async () => (await reaches(host, PEER)) || undefined)
        await turn.end('SIGTERM')
        turn = await Flanneld.start(host, cluster, { make })
        expect(identity()).toEqual(before)
        expect(cluster.get(leaseKey(host.subnet))).toBe(value)
        expect(await reaches(host, PEER)).toBe(true)
        cluster.delete(leaseKey(PEER))
        await eventually(`${make} has removed the peer`, async () =>
          (await reaches(host, PEER)) ? undefined : true,
        )
        // What either does a little later counts, too.
        await new Promise((resolve) => setTimeout(resolve, 400))
        expect(await reaches(host, other.subnet)).toBe(true)
        expect(identity()).toEqual(before)
      }
      expect(cluster.leases().size).toBe(2)
      const { sent, lost } = await traffic.stop()
      expect({ lost }).toEqual({ lost: 0 })
      expect(sent).toBeGreaterThan(100)
    })
  })
