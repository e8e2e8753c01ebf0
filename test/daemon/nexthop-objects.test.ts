// --nexthop-objects: a daemon that is started with another value changes the form of its routes, and loses no packet.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

/** Whether routes have nexthop objects, by the option's value. */
const FORMS = {
  vxlan: { never: false, auto: true, always: true },
  'host-gw': { never: false, auto: false, always: true },
} as const

for (const type of ['vxlan', 'host-gw'] as const)
  test(`${type}: never, always, auto, never, one after the other, under traffic`, async () => {
    await using segment = await Segment.create(2)
    await using store = await TestStore.start('etcd', segment, networkConfig({ Type: type }))
    await using _other = await Flanneld.start(segment.host(2), store)
    const host = segment.host(1)
    const started = async (value: string) => {
      const flanneld = await Flanneld.start(host, store, { args: [`--nexthop-objects=${value}`] })
      await eventually('ready', async () => (await flanneld.report()).ready || undefined)
      return flanneld
    }
    const first = await started('never')
    const [from, to] = [await host.pod(), await segment.host(2).pod()]
    await eventually('the pods reach each other', async () => (await from.reaches(to.ip)) || undefined)
    await first.end()
    await using traffic = await Traffic.start(from.namespace, to.ip)
    for (const value of ['always', 'auto', 'never'] as const) {
      const flanneld = await started(value)
      await flanneld.end()
      const routes = await host.sh('ip route show proto 104; ip nexthop show proto 104')
      expect([value, routes.includes('nhid'), /^id /m.test(routes)]).toEqual([
        value,
        FORMS[type][value],
        FORMS[type][value],
      ])
    }
    expect((await traffic.stop()).lost).toBe(0)
  })
