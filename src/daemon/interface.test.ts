// Choice of the inter-host interface (flannel-compat 1.8, 9.3 P1–P7 as far as IPv4 goes).
import { describe, expect, test } from 'bun:test'
import { parseIp, type Ip } from '../model/ip.ts'
import { chooseInterface, type HostView, type InterfaceWish } from './interface.ts'

const ip = (text: string): Ip => {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const address = (text: string, more = {}) => ({
  ip: ip(text),
  scope: 'global' as const,
  permanent: true,
  deprecated: false,
  ...more,
})
const view: HostView = {
  interfaces: [
    { name: 'lo', mtuBytes: 65536, addresses: [address('127.0.0.1', { scope: 'host' })] },
    {
      name: 'eth0',
      mtuBytes: 1500,
      addresses: [
        address('169.254.7.7', { scope: 'link' }),
        address('10.0.0.9', { permanent: false }),
        address('10.0.0.5'),
      ],
    },
    {
      name: 'eth1',
      mtuBytes: 9000,
      addresses: [address('fd00::1'), address('172.16.30.18'), address('172.16.31.200')],
    },
    { name: 'eth2', mtuBytes: 1500, addresses: [address('10.9.9.9', { deprecated: true })] },
    { name: 'eth3', mtuBytes: 0, addresses: [address('10.8.8.8')] },
  ],
  defaultInterface: 'eth0',
  route: (to) => (to === '172.16.32.254' ? { link: 'eth1', source: ip('172.16.31.200') } : undefined),
}
const choose = (wish: Partial<InterfaceWish>, from = view) =>
  chooseInterface(from, { iface: [], canReach: '', publicIp: '', ...wish })

describe('the interface between hosts', () => {
  test('is the default route’s, its permanent global address first', () =>
    expect(choose({})).toEqual({
      link: 'eth0',
      mtuBytes: 1500,
      ipv4: '10.0.0.5',
      publicIp: '10.0.0.5',
    } as never))
  test('by name', () =>
    expect(choose({ iface: ['eth1'] })).toMatchObject({ link: 'eth1', ipv4: '172.16.30.18' }))
  test('by address, which is then the one used', () =>
    expect(choose({ iface: ['172.16.31.200'] })).toMatchObject({ link: 'eth1', ipv4: '172.16.31.200' }))
  test('the first --iface that exists wins', () =>
    expect(choose({ iface: ['wlan0', 'eth1', 'eth0'] })).toMatchObject({ link: 'eth1' }))
  test('by what it can reach, with the source the kernel would use', () =>
    expect(choose({ canReach: '172.16.32.254' })).toMatchObject({ link: 'eth1', ipv4: '172.16.31.200' }))
  test('--iface is tried before --iface-can-reach', () =>
    expect(choose({ iface: ['eth0'], canReach: '172.16.32.254' })).toMatchObject({ link: 'eth0' }))
  test('a bare --public-ip finds the interface that owns it', () =>
    expect(choose({ publicIp: '172.16.31.200' })).toMatchObject({ link: 'eth1', publicIp: '172.16.31.200' }))
  test('with --iface, --public-ip is only what is published', () =>
    expect(choose({ iface: ['172.16.30.18'], publicIp: '203.0.113.7' })).toMatchObject({
      link: 'eth1',
      ipv4: '172.16.30.18',
      publicIp: '203.0.113.7',
    }))

  test.each([
    [{ iface: ['wlan0'] }, 'no interface wlan0'],
    [{ iface: ['10.1.1.1'] }, 'no interface has the address 10.1.1.1'],
    [{ canReach: '192.0.2.1' }, 'no route to 192.0.2.1'],
    [{ canReach: 'gateway' }, 'not an IP address'],
    [{ publicIp: '1.2.3' }, 'not an IPv4 address'],
    [{ publicIp: '203.0.113.7' }, 'no interface has the address'],
    [{ iface: ['eth2'] }, 'no usable IPv4 address'],
    [{ iface: ['lo'] }, 'no usable IPv4 address'],
    [{ iface: ['eth3'] }, 'MTU 0'],
  ])('%j is refused with a sentence', (wish, words) => expect(choose(wish)).toContain(words))
  test('no default route is said', () =>
    expect(choose({}, { ...view, defaultInterface: undefined })).toContain('--iface'))
})
