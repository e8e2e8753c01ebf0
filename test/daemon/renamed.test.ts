// The interface between hosts and flannel's own device are called by other names under traffic: no packet is lost.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

describe.concurrent('renamed under traffic:', () => {
  for (const [what, backend] of [
    ['vxlan', { Type: 'vxlan' }],
    ['vxlan with DirectRouting', { Type: 'vxlan', DirectRouting: true }],
    ['host-gw', { Type: 'host-gw' }],
  ] as const)
    test(what, async () => {
      await using segment = await Segment.create(2)
      await using store = await TestStore.start('etcd', segment, networkConfig(backend))
      const [host, other] = [segment.host(1), segment.host(2)]
      await using flanneld = await Flanneld.start(host, store)
      await using _ = await Flanneld.start(other, store)
      const [from, to] = [await host.pod(), await other.pod()]
      await eventually('the pods reach each other', async () => (await from.reaches(to.ip)) || undefined)
      const route = () => host.sh(`ip route show ${other.subnet}`)
      const before = await route()
      await using traffic = await Traffic.start(from.namespace, to.ip)
      await host.sh('ip link set eth0 name lan0')
      await flanneld.process.line(/lan0/)
      if (backend.Type === 'vxlan') {
        const index = host.index('flannel.1')
        await host.sh('ip link set flannel.1 name lost0')
        const isBack = async () =>
          (await host.sh('ip -br link show type vxlan')).includes('flannel.1') || undefined
        await eventually('it has its name again', isBack)
        expect(host.index('flannel.1')).toBe(index)
      }
      expect((await traffic.stop()).lost).toBe(0)
      // The same route, not one that was made again.
      expect((await route()).replace('lan0', 'eth0')).toBe(before)
      expect((await flanneld.report()).failures).toEqual({})
    })
})
