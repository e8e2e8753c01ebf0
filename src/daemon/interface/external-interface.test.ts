// The interface between hosts as the kernel's notifications tell of it: waited for, followed, found again.
import { expect, test } from 'bun:test'
import { kernel, type TestHost } from '../../../test/support/kernel.ts'
import type { InterfaceWish } from './choose.ts'
import { ExternalInterface } from './external-interface.ts'

const NONE: InterfaceWish = { iface: [], ifaceRegex: [], canReach: '', publicIp: '', publicIpv6: '' }
const soon = () => AbortSignal.timeout(5_000)
const open = (host: TestHost, wish: Partial<InterfaceWish> = {}, graceMs = 60_000) =>
  ExternalInterface.open({ wish: { ...NONE, ...wish }, stack: 'ipv4', namespace: host.namespace, graceMs })
const seen = (external: ExternalInterface): string => {
  const found = external.look()
  return typeof found === 'string' ? found : `${found.index} ${found.link} ${found.ipv4} ${found.mtuBytes}`
}
/** Looks whenever there is something, until that is seen. */
async function until(external: ExternalInterface, words: string): Promise<void> {
  const signal = soon()
  for (let last = seen(external); !last.includes(words); last = seen(external))
    if (!(await external.stirred(signal))) throw new Error(`still: ${last}`)
}
/** Whether nothing wakes it for a while. */
const rests = async (external: ExternalInterface): Promise<boolean> =>
  !(await external.stirred(AbortSignal.timeout(400)))

const ETH0 = 'ip link add eth0 type veth peer name far0; ip link set far0 up; ip link set eth0 up'

test('is waited for, then its address, then the default route', async () => {
  await using host = await kernel()
  using external = open(host)
  expect(seen(external)).toContain('no IPv4 default route')
  await host.sh(`${ETH0}; ip addr add 192.0.2.1/24 dev eth0`)
  expect(await external.stirred(soon())).toBe(true)
  expect(seen(external)).toContain('no IPv4 default route')
  await host.sh('ip route add default via 192.0.2.254')
  await until(external, 'eth0 192.0.2.1 1500')
})

test('by name: waited for, then its address', async () => {
  await using host = await kernel()
  using external = open(host, { iface: ['eth0'] })
  expect(seen(external)).toContain('no interface eth0')
  await host.sh(ETH0)
  await until(external, 'no usable IPv4 address')
  await host.sh('ip addr add 192.0.2.1/24 dev eth0')
  await until(external, 'eth0 192.0.2.1 1500')
})

test('once chosen, what happens to others wakes nobody', async () => {
  await using host = await kernel()
  await host.sh(`${ETH0}; ip addr add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.254`)
  using external = open(host)
  await until(external, 'eth0 192.0.2.1')
  await host.sh('ip link set far0 mtu 1400')
  // What came before it was narrowed.
  while (!(await rests(external)));
  await host.sh(`
    ip link add veth9 type veth peer name veth8; ip link set veth9 up; ip link set veth8 up
    ip addr add 198.51.100.1/24 dev veth9; ip route add 203.0.113.0/24 via 198.51.100.2; ip link del veth9
    ip route replace default via 192.0.2.253`)
  expect(await rests(external)).toBe(true)
})

test('address, name and MTU are followed, two changes at once as one', async () => {
  await using host = await kernel()
  await host.sh(`${ETH0}; ip addr add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.254`)
  using external = open(host)
  await until(external, 'eth0 192.0.2.1 1500')
  await host.sh('ip link set eth0 mtu 1400')
  await until(external, 'eth0 192.0.2.1 1400')
  await host.sh('ip addr add 192.0.2.2/24 dev eth0')
  expect(await external.stirred(soon())).toBe(true)
  expect(seen(external)).toContain('eth0 192.0.2.1 1400')
  await host.sh(`
    ip addr flush dev eth0; ip addr add 192.0.2.3/24 dev eth0
    ip addr flush dev eth0; ip addr add 192.0.2.4/24 dev eth0`)
  expect(await external.stirred(soon())).toBe(true)
  expect(seen(external)).toContain('eth0 192.0.2.4')
  await host.sh('ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 up')
  await until(external, 'lan0 192.0.2.')
})

test('gone, and back with another index', async () => {
  await using host = await kernel()
  await host.sh(`${ETH0}; ip addr add 192.0.2.1/24 dev eth0`)
  using external = open(host, { iface: ['eth0'] })
  await until(external, 'eth0 192.0.2.1')
  const index = host.index('eth0')
  await host.sh('ip link del eth0')
  await until(external, 'no interface eth0')
  await host.sh('ip link add spare type veth peer name spare0')
  await host.sh(`${ETH0}; ip addr add 192.0.2.1/24 dev eth0`)
  await until(external, 'eth0 192.0.2.1')
  expect(host.index('eth0')).not.toBe(index)
  await host.sh('ip addr del 192.0.2.1/24 dev eth0; ip addr add 192.0.2.9/24 dev eth0')
  await until(external, 'eth0 192.0.2.9')
})

test('another interface is taken only after a while', async () => {
  await using host = await kernel()
  await host.sh(`
    ${ETH0}; ip addr add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.254
    ip link add eth1 type veth peer name far1; ip link set far1 up; ip link set eth1 up
    ip addr add 198.51.100.1/24 dev eth1; ip route add default via 198.51.100.254 metric 100`)
  using patient = open(host)
  using hasty = open(host, {}, 300)
  expect(seen(patient)).toContain('eth0')
  expect(seen(hasty)).toContain('eth0')
  await host.sh('ip addr del 192.0.2.1/24 dev eth0')
  await until(patient, 'waited for a little before eth1 is taken')
  while (!(await rests(patient)));
  expect(seen(patient)).toContain('waited for a little')
  await until(hasty, 'eth1 198.51.100.1')
  await host.sh('ip addr add 192.0.2.2/24 dev eth0')
  await until(patient, 'eth0 192.0.2.2')
  expect(seen(hasty)).toContain('eth1')
})
