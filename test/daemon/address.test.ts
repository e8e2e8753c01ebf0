// A host that comes back with another underlay address is the same host: same lease, same MAC, its pods reached again.
// A host that wants another network leaves nothing of the former one; a subnet.env that can't be written is waited for.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

test('weak point 36: another address after a restart: the subnet stays, and peers move over', async () => {
  await using segment = await Segment.create(2)
  const [near, far] = [segment.host(1), segment.host(2)]
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  await using _ = await Flanneld.start(near, store)
  const before = await Flanneld.start(far, store)
  const pods = [await near.pod(), await far.pod()] as const
  await eventually('the pods reach each other', async () => (await pods[0].reaches(pods[1].ip)) || undefined)
  const { subnet } = far
  await before.end('SIGTERM')
  await far.sh(
    'ip addr flush dev eth0 scope global; ip addr add 192.168.100.22/24 dev eth0; ip route add default via 192.168.100.254',
  )
  await using after = await Flanneld.start(far, store)
  expect(far.subnet).toBe(subnet)
  expect(store.leases().get(leaseKey(subnet))).toContain('"PublicIP":"192.168.100.22"')
  expect(store.leases().size).toBe(2)
  await eventually(
    'the pods reach each other again',
    async () => (await pods[0].reaches(pods[1].ip)) || undefined,
  )
  expect((await after.report()).ready).toBe(true)
})

test('another network with host-gw: routes into the former one go', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'host-gw' }))
  const peer = '{"PublicIP":"192.168.100.60","PublicIPv6":null,"BackendType":"host-gw"}'
  store.put(leaseKey('10.244.60.0/24'), peer)
  const before = await Flanneld.start(host, store)
  await eventually(
    'the peer has its route',
    async () => (await host.sh('ip route')).includes('10.244.60.0/24') || undefined,
  )
  await before.end('SIGTERM')
  store.delete(leaseKey('10.244.60.0/24'))
  store.put(CONFIG_KEY, '{"Network":"10.200.0.0/16","Backend":{"Type":"host-gw"}}')
  await using _ = await Flanneld.start(host, store)
  expect(host.subnet).toStartWith('10.200.')
  expect(await host.sh('ip route')).not.toContain('10.244.')
})

test('another VNI, then another back end, while it was off: the former device goes, another flanneld’s stays', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan', VNI: 7 }))
  await host.sh(`
    ip link add flannel.5 type vxlan id 5 local ${host.ip} dev eth0 dstport 4789 nolearning
    ip addr add 10.99.1.0/32 dev flannel.5; ip link set flannel.5 up`)
  const devices = async () => {
    const links = await host.sh('ip -o link show type vxlan')
    return links.split('\n').flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? [])
  }
  await (await Flanneld.start(host, store)).end('SIGTERM')
  const { subnet } = host
  expect(await devices()).toEqual(['flannel.5', 'flannel.7'])
  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
  await (await Flanneld.start(host, store)).end('SIGTERM')
  expect([await devices(), host.subnet]).toEqual([['flannel.5', 'flannel.1'], subnet])
  store.put(CONFIG_KEY, networkConfig({ Type: 'host-gw' }))
  await (await Flanneld.start(host, store)).end('SIGTERM')
  expect([await devices(), host.subnet]).toEqual([['flannel.5'], subnet])
})

test('a subnet.env that can’t be written: said, not ready, written once it can be', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  // A file where a folder should be.
  writeFileSync(`${host.folder}/run`, '')
  const args = [`--subnet-file=${host.folder}/run/subnet.env`]
  await using flanneld = Flanneld.launch(host, store, { args })
  await flanneld.process.line(/can't write .*subnet\.env/, { withinSeconds: 20 })
  expect((await flanneld.report()).ready).toBe(false)
  rmSync(`${host.folder}/run`)
  mkdirSync(`${host.folder}/run`)
  chmodSync(`${host.folder}/run`, 0o755)
  await flanneld.process.line(/flannel is ready/, { withinSeconds: 20 })
  expect((await flanneld.report()).ready).toBe(true)
})
