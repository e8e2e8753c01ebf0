// Bad input from the store is refused by name and changes nothing else: neither the kernel, nor leases, nor files.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { Changes } from '../support/changes.ts'
import { flannelPart } from '../support/data-plane.ts'
import { Flanneld } from '../support/flanneld.ts'
import { loneHost } from '../support/lone-host.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, PREFIX, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
const PEER = { key: leaseKey('10.244.60.0/24'), mac: '02:42:00:00:00:60' }
const good = vxlanLease('192.168.100.60', PEER.mac)

describe('weak point 1: a bad lease of another writer:', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let store: TestStore
  let flanneld: Flanneld

  beforeAll(async () => {
    ;({ host, store, flanneld } = stack.use(await loneHost((own) => own.put(PEER.key, good))))
    await eventually(
      'the good peer is there',
      async () => (await flannelPart(host)).includes(PEER.mac) || undefined,
    )
  })
  afterAll(() => stack.disposeAsync())

  const other = vxlanLease('192.168.100.61', '02:42:00:00:00:61')
  const bad: readonly (readonly [string, () => readonly [string, string]])[] = [
    ['no JSON', () => [leaseKey('10.244.61.0/24'), '{"PublicIP":"192.168.100.61"']],
    ['no object', () => [leaseKey('10.244.61.0/24'), '[]']],
    ['no address', () => [leaseKey('10.244.61.0/24'), vxlanLease('banana', '02:42:00:00:00:61')]],
    ['a key that names no subnet', () => [`${PREFIX}/subnets/hello`, other]],
    ['a subnet outside the network', () => [leaseKey('10.99.1.0/24'), other]],
    ['a subnet that overlaps ours', () => [leaseKey(host.subnet.replace('.0/24', '.128/25')), other]],
    ['a MAC that is none', () => [leaseKey('10.244.61.0/24'), vxlanLease('192.168.100.61', 'banana')]],
    [
      'a multicast MAC',
      () => [leaseKey('10.244.61.0/24'), vxlanLease('192.168.100.61', '01:00:5e:00:00:01')],
    ],
    ['another VNI', () => [leaseKey('10.244.61.0/24'), other.replace('"VNI":1', '"VNI":2')]],
    ['a truncated write over a good one', () => [PEER.key, good.slice(0, 40)]],
  ]
  for (const [name, make] of bad)
    test(name, async () => {
      const [key, value] = make()
      using changes = new Changes(host)
      const subnetFile = readFileSync(host.subnetFile, 'utf8')
      store.put(key, value)
      const refused = await eventually('the report names it', async () =>
        Object.entries((await flanneld.report()).refused ?? {}).find(([told]) => key.endsWith(told)),
      )
      expect(refused[1]).toMatch(/\w+ \w+/)
      expect(await changes.take()).toEqual([])
      expect(readFileSync(host.subnetFile, 'utf8')).toBe(subnetFile)
      expect(await flannelPart(host)).toContain(PEER.mac)
      if (key === PEER.key) store.put(key, good)
      else store.delete(key)
      await eventually('nothing is refused', async () =>
        Object.keys((await flanneld.report()).refused ?? {}).length === 0 ? true : undefined,
      )
      expect(await changes.take()).toEqual([])
    })

  const configs: readonly (readonly [string, string])[] = [
    ['no JSON', '{"Network": "10.244.0.0/16"'],
    ['a network that is none', networkConfig({ Type: 'vxlan' }, { Network: 'banana' })],
    ['a back end that there is not', networkConfig({ Type: 'carrier-pigeon' })],
    ['a VNI out of range', networkConfig({ Type: 'vxlan', VNI: 1 << 24 })],
    ['a subnet range the wrong way round', networkConfig({ Type: 'vxlan' }, { SubnetMin: '10.99.0.0' })],
  ]
  for (const [name, text] of configs)
    test(`a bad network config while it runs: ${name}`, async () => {
      using changes = new Changes(host)
      const from = flanneld.process.lines.length
      store.put(CONFIG_KEY, text)
      await flanneld.process.line(/^[WE]\d{4} .*config/, { from, withinSeconds: 10 })
      store.put(CONFIG_KEY, CONFIG)
      expect(await changes.take()).toEqual([])
      expect(flanneld.process.running).toBe(true)
    })
})

test('a bad network config at the start: named once, nothing made, and a good one sets it going', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start(
    'etcd',
    segment,
    networkConfig({ Type: 'vxlan' }, { Network: 'banana' }),
  )
  using changes = new Changes(host)
  await using flanneld = Flanneld.launch(host, store)
  await flanneld.process.line(/banana/)
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(flanneld.process.matching(/banana/).length).toBe(1)
  expect(await changes.take()).toEqual([])
  expect(existsSync(host.subnetFile)).toBe(false)
  expect(store.leases().size).toBe(0)
  store.put(CONFIG_KEY, CONFIG)
  await flanneld.ready()
})
