// What others do to leases in the embedded store, and to the store itself, as test/cluster/ has it for etcd: pods lose no
// packet, nobody is renumbered, and store and kernels tell the same at the end.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { agreed } from '../support/agreement.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, PREFIX, TestStore, vxlanLease } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
const PEER = { key: leaseKey('10.244.51.0/24'), value: vxlanLease('192.168.100.51', '02:42:00:00:00:51') }

describe('under traffic, the embedded store', () => {
  const stack = new AsyncDisposableStack()
  let segment: Segment
  let store: TestStore
  let daemons: readonly Flanneld[]
  let traffic: Traffic
  let subnets: readonly string[]

  beforeAll(async () => {
    segment = stack.use(await Segment.create(2))
    store = stack.use(await TestStore.start('embedded', segment, CONFIG))
    daemons = [
      stack.use(await Flanneld.start(segment.host(1), store)),
      stack.use(await Flanneld.start(segment.host(2), store)),
    ]
    const [from, to] = [await segment.host(1).pod(), await segment.host(2).pod()]
    await eventually('the pods reach each other', async () => (await from.reaches(to.ip)) || undefined)
    subnets = segment.hosts.map(({ subnet }) => subnet)
    traffic = stack.use(await Traffic.start(from.namespace, to.ip))
  })
  afterAll(() => stack.disposeAsync())

  const ownKey = (host: Host) => leaseKey(host.subnet)
  const back = (key: string, value: string | undefined) =>
    eventually(`${key} is back`, () => store.get(key) === value || undefined)
  /** Another writer’s peer comes to every host, and goes. */
  const hears = async () => {
    store.put(PEER.key, PEER.value)
    await agreed(store, daemons)
    store.delete(PEER.key)
    await agreed(store, daemons)
  }

  test('has a lease revoked, and others deleted: they are put again', async () => {
    for (const host of segment.hosts) {
      const key = ownKey(host)
      const value = store.get(key)
      store.etcdctl('lease', 'revoke', store.leaseOf(key))
      await back(key, value)
      store.delete(key)
      await back(key, value)
    }
    await hears()
  })

  test('is written garbage to: refused by name, and a lease of ours is put right', async () => {
    const key = ownKey(segment.host(2))
    const value = store.get(key)
    const garbage = [`${PREFIX}/subnets/banana`, `${PREFIX}/subnets-of-somebody`, leaseKey('0.0.0.0/0')]
    for (const name of garbage) store.put(name, 'nothing')
    store.put(CONFIG_KEY, 'no JSON')
    store.put(key, '{"PublicIP":')
    await back(key, value)
    await agreed(store, daemons, { unless: (name) => garbage.includes(name) })
    for (const daemon of daemons)
      expect(Object.keys((await daemon.report()).refused ?? {}).length).toBe(garbage.length)
    for (const name of garbage) store.delete(name)
    store.put(CONFIG_KEY, CONFIG)
    await hears()
  })

  test('is compacted under the watch, killed and started again', async () => {
    store.compact()
    await hears()
    await store.server.kill()
    await store.server.up()
    store.compact()
    await hears()
  })

  test('cost no packet, and no host its subnet', async () => {
    const { sent, lost } = await traffic.stop()
    expect({ lost }).toEqual({ lost: 0 })
    expect(sent).toBeGreaterThan(100)
    expect(segment.hosts.map(({ subnet }) => subnet)).toEqual([...subnets])
    for (const daemon of daemons) expect(daemon.process.running).toBe(true)
  })
})
