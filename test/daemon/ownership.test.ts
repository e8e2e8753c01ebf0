// Whose a lease is: a host that comes back with another address has its subnet again though nothing of it is left in
// the kernel; two flannelds don't fight over one subnet.env.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { rmSync, writeFileSync } from 'node:fs'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, STORE_IP, type Host } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

/** As after a reboot at another address: /run is empty, no device is there. */
async function reboot(host: Host, last: number): Promise<void> {
  rmSync(host.subnetFile)
  await host.sh(`
    ip link del flannel.1 2>/dev/null || true; ip route flush proto 0x68
    ip addr flush dev eth0 scope global; ip addr add 192.168.100.${last}/24 dev eth0; ip route add default via ${STORE_IP}`)
}

for (const [kind, type] of [
  ['etcd', 'host-gw'],
  ['embedded', 'vxlan'],
] as const)
  test(`${type}, ${kind}: rebooted at another address it has its subnet again, even where another had that address before`, async () => {
    await using segment = await Segment.create(2)
    const [host, other] = [segment.host(1), segment.host(2)]
    await using store = await TestStore.start(kind, segment, networkConfig({ Type: type }))
    await using _ = await Flanneld.start(other, store)
    const first = await Flanneld.start(host, store)
    const { subnet } = host
    await first.end('SIGKILL')
    // The other one has moved on, but is away: its lease still tells the address that this host has now.
    await _.end('SIGKILL')
    await other.sh('ip addr flush dev eth0 scope global')
    await reboot(host, 2)
    const second = await Flanneld.start(host, store)
    expect(host.subnet).toBe(subnet)
    expect(store.leases().size).toBe(2)
    expect(store.leases().get(leaseKey(subnet))).toContain('"PublicIP":"192.168.100.2"')
    await second.end('SIGTERM')

    // Without its state it is known by its address alone, and by nothing at another one.
    rmSync(host.stateDir, { recursive: true })
    await reboot(host, 33)
    const third = await Flanneld.start(host, store)
    expect(host.subnet).not.toBe(subnet)
    await third.end('SIGTERM')
  })

test('state that can’t be kept is one warning', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'host-gw' }))
  // As a read-only file system has it, for root too.
  writeFileSync(host.stateDir, '')
  await using flanneld = await Flanneld.start(host, store)
  expect(flanneld.process.matching(/can't record that the lease .* is this host's/)).toHaveLength(1)
  // Put again, it has another revision to record.
  store.delete(leaseKey(host.subnet))
  await eventually('the lease is back', () => store.leases().has(leaseKey(host.subnet)) || undefined)
  expect(flanneld.process.matching(/can't record/)).toHaveLength(1)
})

test('a second flanneld with the same flags is refused by name of the first', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  await using flanneld = await Flanneld.start(host, store)
  await using second = Flanneld.launch(host, store)
  expect(await second.process.ended).toEqual({ code: 1, signal: null })
  expect(second.process.lines.join('\n')).toContain(
    `another flanneld (process ${flanneld.process.pid}) keeps ${host.subnetFile}: stop it first`,
  )
  // However the first one ends, the next one may begin.
  await flanneld.end('SIGKILL')
  await using third = await Flanneld.start(host, store)
  expect((await third.report()).ready).toBe(true)
})
