// Whatever something else breaks in the data plane is whole again within a second, and told in the report.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { flannelPart } from '../support/data-plane.ts'
import { Flanneld } from '../support/flanneld.ts'
import { HOST_GW_HARMS, VXLAN_HARMS, type Harm } from '../support/harm.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Pod } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const HEALED_WITHIN_SECONDS = 1

for (const [type, harms] of [
  ['vxlan', VXLAN_HARMS],
  ['host-gw', HOST_GW_HARMS],
] as const)
  describe(`${type} heals`, () => {
    const stack = new AsyncDisposableStack()
    let segment: Segment
    let flanneld: Flanneld
    let pods: readonly [Pod, Pod]

    beforeAll(async () => {
      segment = stack.use(await Segment.create(2))
      const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
      flanneld = stack.use(await Flanneld.start(segment.host(1), store, { args: ['--ip-masq'] }))
      stack.use(await Flanneld.start(segment.host(2), store))
      pods = [await segment.host(1).pod(), await segment.host(2).pod()]
      await eventually(
        'the pods reach each other',
        async () => (await pods[0].reaches(pods[1].ip)) || undefined,
      )
    })
    afterAll(() => stack.disposeAsync())

    const heals = ({ name, command }: Harm) =>
      test(name, async () => {
        const host = segment.host(1)
        const whole = await flannelPart(host)
        const before = await flanneld.repairs()
        await host.sh(command)
        await eventually(
          `the data plane is as before:\n${whole}\n`,
          async () => ((await flannelPart(host)) === whole ? true : undefined),
          HEALED_WITHIN_SECONDS,
        )
        expect(await flanneld.repairs()).toBeGreaterThan(before)
        expect(await pods[0].reaches(pods[1].ip)).toBe(true)
        expect((await flanneld.report()).failures).toEqual({})
      })
    harms.forEach(heals)
  })
