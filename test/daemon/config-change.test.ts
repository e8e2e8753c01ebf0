// A network config that changes while daemons run: what can be is put in force on every host at once, without a packet
// lost where the device stays; what can't is refused with a reason, and nothing else changes.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore, type BackendChoice } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(90_000)

async function cluster(type: BackendChoice) {
  const parts = new AsyncDisposableStack()
  const segment = parts.use(await Segment.create(2))
  const store = parts.use(await TestStore.start('etcd', segment, networkConfig(type)))
  const hosts = [segment.host(1), segment.host(2)] as const
  const daemons = [
    parts.use(await Flanneld.start(hosts[0], store)),
    parts.use(await Flanneld.start(hosts[1], store)),
  ] as const
  const [from, to] = [await hosts[0].pod(), await hosts[1].pod()]
  await eventually('pods reach each other', async () => (await from.reaches(to.ip)) || undefined)
  return { hosts, daemons, store, from, to, [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose]() }
}

const device = (host: Host) => host.sh('ip -d -o link show type vxlan')
const onEach = (hosts: readonly Host[], what: string, is: (host: Host) => Promise<boolean>) =>
  eventually(what, async () => (await Promise.all(hosts.map(is))).every(Boolean) || undefined)

test('weak point 36: the MTU and DirectRouting follow the config, and no packet is lost', async () => {
  await using lab = await cluster({ Type: 'vxlan' })
  const { hosts, daemons, store } = lab
  const subnets = hosts.map((host) => host.subnet)
  await using traffic = await Traffic.start(lab.from.namespace, lab.to.ip)

  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan', MTU: 1400 }))
  await onEach(hosts, 'devices of 1350 bytes', async (host) => (await device(host)).includes('mtu 1350'))
  await onEach(hosts, 'subnet.env tells them', async (host) => host.subnetValue('FLANNEL_MTU') === '1350')

  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan', MTU: 1400, DirectRouting: true }))
  await onEach(hosts, 'direct routes', async (host) =>
    /10\.244\.\d+\.0\/24 via 192\.168\.100\.\d dev eth0/.test(await host.sh('ip route')),
  )
  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
  await onEach(hosts, 'the tunnel again', async (host) =>
    /10\.244\.\d+\.0\/24 .*dev flannel\.1/.test(await host.sh('ip route')),
  )
  await onEach(hosts, 'devices of 1450 bytes', async (host) => (await device(host)).includes('mtu 1450'))

  const { sent, lost } = await traffic.stop()
  expect(sent).toBeGreaterThan(10)
  expect(lost).toBe(0)
  expect(hosts.map((host) => host.subnet)).toEqual(subnets)
  for (const { process } of daemons)
    expect(process.matching(/in force now: Backend.MTU 1400/)).toHaveLength(1)
})

test('another port and another VNI make other devices, and pods reach each other again', async () => {
  await using lab = await cluster({ Type: 'vxlan' })
  const { hosts, store, from, to } = lab

  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan', Port: 4789 }))
  await onEach(hosts, 'devices on port 4789', async (host) => (await device(host)).includes('dstport 4789'))
  await eventually('pods reach each other', async () => (await from.reaches(to.ip)) || undefined)

  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan', VNI: 7 }))
  await onEach(hosts, 'flannel.7 alone', async (host) => {
    const links = await device(host)
    return links.includes('flannel.7') && !links.includes('flannel.1')
  })
  await eventually('pods reach each other', async () => (await from.reaches(to.ip)) || undefined)
  // Leases tell the new VNI, and the MAC of its device.
  for (const host of hosts) {
    const mac = /link\/ether (\S+)/.exec(await device(host))?.[1] ?? 'none'
    expect(store.leases().get(leaseKey(host.subnet))).toContain(`{"VNI":7,"VtepMAC":"${mac}"}`)
  }
  for (const host of hosts) {
    expect(await host.sh('ip route; ip nexthop; ip -br addr')).not.toContain('flannel.1')
    // What is there for the new device is heard of and healed as on the first.
    await host.sh(
      'ip neigh flush dev flannel.7 nud permanent; bridge fdb del $(bridge fdb show dev flannel.7 | head -1 | cut -d" " -f1) dev flannel.7',
    )
  }
  await eventually('pods reach each other', async () => (await from.reaches(to.ip)) || undefined)
})

test('another Network or type is refused with a reason, and nothing changes', async () => {
  await using lab = await cluster({ Type: 'vxlan' })
  const { hosts, daemons, store, from, to } = lab
  const before = await Promise.all(hosts.map((host) => host.sh('ip route; ip -br link; nft list ruleset')))
  const refusal = async () =>
    Promise.all(daemons.map(async (daemon) => (await daemon.report()).networkConfig?.refused ?? ''))
  for (const [config, reason] of [
    [
      networkConfig({ Type: 'vxlan', MTU: 1400 }, { Network: '10.99.0.0/16', SubnetMin: '10.99.9.0' }),
      'Network is',
    ],
    [networkConfig({ Type: 'host-gw' }), 'Backend.Type is host-gw'],
    [networkConfig({ Type: 'vxlan', MTU: 7 }), 'Backend.MTU must be'],
    ['{"Network":', 'not JSON'],
  ] as const) {
    store.put(CONFIG_KEY, config)
    await eventually(
      `a refusal with "${reason}"`,
      async () => (await refusal()).every((told) => told.includes(reason)) || undefined,
    )
  }
  expect(await Promise.all(hosts.map((host) => host.sh('ip route; ip -br link; nft list ruleset')))).toEqual(
    before,
  )
  expect(await from.reaches(to.ip)).toBe(true)
  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
  await eventually('no refusal', async () => (await refusal()).every((told) => told === '') || undefined)
})
