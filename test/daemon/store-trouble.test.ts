// A store that is down, frozen, restarted, wiped or replaced: the data plane stays, the log says so once, and all goes
// on without a restart of the daemon.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Changes } from '../support/changes.ts'
import { flannelPart } from '../support/data-plane.ts'
import { ETCD_KINDS, type EtcdKind } from '../support/etcd.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
const peer = (number: number) => ({
  mac: `02:42:00:00:00:${number}`,
  key: leaseKey(`10.244.${number}.0/24`),
  value: vxlanLease(`192.168.100.${number}`, `02:42:00:00:00:${number}`),
})
const [KEPT, MISSED, LATER] = [peer(51), peer(52), peer(53)]

/** One host with two peers, running and settled. */
class Scene implements AsyncDisposable {
  readonly host: Host
  readonly store: TestStore
  readonly flanneld: Flanneld
  readonly #stack: AsyncDisposableStack

  private constructor(stack: AsyncDisposableStack, host: Host, store: TestStore, flanneld: Flanneld) {
    this.#stack = stack
    this.host = host
    this.store = store
    this.flanneld = flanneld
  }

  static async set(kind: EtcdKind, args: readonly string[] = []): Promise<Scene> {
    await using stack = new AsyncDisposableStack()
    const segment = stack.use(await Segment.create(1))
    const store = stack.use(await TestStore.start(kind, segment, CONFIG))
    store.put(KEPT.key, KEPT.value)
    store.put(MISSED.key, MISSED.value)
    const host = segment.host(1)
    const flanneld = stack.use(await Flanneld.start(host, store, { args }))
    const scene = new Scene(stack.move(), host, store, flanneld)
    await scene.has(MISSED.mac)
    return scene
  }

  has(mac: string, withinSeconds = 15): Promise<true> {
    const asked = async () => (await flannelPart(this.host)).includes(mac) || undefined
    return eventually(`the kernel has ${mac}`, asked, withinSeconds)
  }

  /** Warnings and errors from line `from` on. */
  complaints(from: number): readonly string[] {
    return this.flanneld.process.lines.slice(from).filter((line) => /^[WEF]\d{4} /.test(line))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

// Mostly waiting, so all at once.
describe.concurrent('a store that', () => {
  test('is down: one line tells, the data plane stays, and all goes on when it is back', async () => {
    await using scene = await Scene.set('etcd')
    using changes = new Changes(scene.host)
    const from = scene.flanneld.process.lines.length
    await scene.store.server.kill()
    await pause(4)
    expect(scene.complaints(from).join('\n')).toMatch(/store|etcd/)
    expect(scene.complaints(from).length).toBeLessThanOrEqual(2)
    expect(await changes.take()).toEqual([])
    await scene.store.server.up()
    scene.store.put(LATER.key, LATER.value)
    await scene.has(LATER.mac)
    expect(scene.flanneld.process.running).toBe(true)
  })

  test('is frozen: one line tells, the data plane stays, and all goes on when it answers again', async () => {
    await using scene = await Scene.set('etcd')
    using changes = new Changes(scene.host)
    const from = scene.flanneld.process.lines.length
    scene.store.server.freeze()
    await eventually('the log tells', () => scene.complaints(from).length > 0 || undefined, 20)
    await pause(2)
    expect(scene.complaints(from).length).toBeLessThanOrEqual(2)
    expect(await changes.take()).toEqual([])
    scene.store.server.thaw()
    scene.store.put(LATER.key, LATER.value)
    await scene.has(LATER.mac, 20)
  })

  for (const kind of ETCD_KINDS)
    test(`is restarted (${kind}): nothing changes, and events go on`, async () => {
      await using scene = await Scene.set(kind)
      using changes = new Changes(scene.host)
      await scene.store.server.restart()
      scene.store.delete(leaseKey('10.244.1.0/24'))
      await pause(0.5)
      expect(await changes.take()).toEqual([])
      scene.store.put(LATER.key, LATER.value)
      await scene.has(LATER.mac)
      scene.store.delete(MISSED.key)
      await eventually(
        'the deleted peer is gone',
        async () => !(await flannelPart(scene.host)).includes(MISSED.mac) || undefined,
      )
    })

  test('loses our lease: it is put again under the same subnet', async () => {
    await using scene = await Scene.set('etcd')
    using changes = new Changes(scene.host)
    const own = leaseKey(scene.host.subnet)
    const before = scene.store.leases().get(own)
    scene.store.delete(own)
    await eventually('it is back', () => scene.store.leases().get(own) === before || undefined)
    expect(await changes.take()).toEqual([])
  })

  for (const [how, kind, replaced] of [
    ['is wiped, its cluster id the same', 'etcd', false],
    ['is replaced by another cluster', 'etcd', true],
    ['is wiped (embedded)', 'embedded', true],
  ] as const)
    test(`${how}: peers stay until the config is back and the grace is over`, async () => {
      await using scene = await Scene.set(kind, ['--store-reset-grace=2s'])
      using changes = new Changes(scene.host)
      const own = leaseKey(scene.host.subnet)
      const before = scene.store.leases().get(own)
      await scene.store.server.wipe({ replaced })
      await scene.store.server.up()
      await eventually(
        'our own lease is back',
        () => scene.store.leases().get(own) === before || undefined,
        15,
      )
      await pause(2.5)
      expect(await changes.take()).toEqual([])
      scene.store.put(KEPT.key, KEPT.value)
      scene.store.put(CONFIG_KEY, CONFIG)
      await eventually(
        'the peer that did not come back is gone',
        async () => !(await flannelPart(scene.host)).includes(MISSED.mac) || undefined,
        15,
      )
      expect(await flannelPart(scene.host)).toContain(KEPT.mac)
      expect([...scene.store.leases().keys()].sort()).toEqual([own, KEPT.key].sort())
    })
})
