// The choice of the interface between hosts, row by row (flannel-compat 1.8 and 9.3 P1–P7), and what becomes of it.
import { describe, expect, test } from 'bun:test'
import { parseIp, type Ip } from '../../model/ip.ts'
import { chooseInterface, type Chosen, type InterfaceWish, type Stack } from './choose.ts'
import { usable, type HostAddress, type HostInterface, type HostView } from './host-view.ts'
import { keepInterface } from './keep.ts'

const ip = (text: string): Ip => {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const address = (text: string, more: Partial<HostAddress> = {}): HostAddress => ({
  ip: ip(text),
  permanent: true,
  temporary: false,
  deprecated: false,
  ...more,
})
const link = (
  index: number,
  name: string,
  addresses: readonly HostAddress[],
  mtuBytes = 1500,
): HostInterface => ({ index, name, mtuBytes, addresses })

const lo = link(1, 'lo', [address('127.0.0.1'), address('::1')], 65536)
const eth0 = link(2, 'eth0', [
  address('169.254.7.7'),
  address('10.0.0.9', { permanent: false }),
  address('10.0.0.5'),
  address('fe80::2'),
  address('2001:db8::77', { permanent: false, temporary: true }),
  address('2001:db8::5', { permanent: false }),
])
const eth1 = link(3, 'eth1', [address('172.16.30.18'), address('172.16.31.200'), address('fd00::1')], 9000)
const eth2 = link(4, 'eth2', [address('10.9.9.9', { deprecated: true }), address('fd00:9::9')])
const eth3 = link(5, 'eth3', [address('10.8.8.8'), address('fd00:8::8')], 0)
const view: HostView = {
  interfaces: [lo, eth0, eth1, eth2, eth3],
  defaultRoute: () => ({ linkIndex: 2, source: undefined }),
  route: (to) =>
    ({
      '172.16.32.254': { linkIndex: 3, source: ip('172.16.31.200') },
      'fd00:99::1': { linkIndex: 3, source: ip('fd00::1') },
      '192.0.2.2': { linkIndex: undefined, source: undefined },
    })[to as string],
}
const NONE: InterfaceWish = { iface: [], ifaceRegex: [], canReach: '', publicIp: '', publicIpv6: '' }
const choose = (wish: Partial<InterfaceWish>, stack: Stack = 'ipv4', from: HostView = view) =>
  chooseInterface(from, { ...NONE, ...wish }, stack)
/** link, address, public address; of IPv6 alike. */
const short = (chosen: Chosen | string) =>
  typeof chosen === 'string'
    ? chosen
    : [chosen.link, chosen.ipv4, chosen.publicIp, chosen.ipv6, chosen.publicIpv6]
        .map((each) => each ?? '-')
        .join(' ')

describe('the interface between hosts', () => {
  test.each([
    ['the default route’s, its permanent global address first', {}, 'ipv4', 'eth0 10.0.0.5 10.0.0.5 - -'],
    ['the default route’s for an empty name', { iface: [''] }, 'ipv4', 'eth0 10.0.0.5 10.0.0.5 - -'],
    [
      'the default route’s for an empty expression',
      { ifaceRegex: [''] },
      'ipv4',
      'eth0 10.0.0.5 10.0.0.5 - -',
    ],
    ['of IPv6 too: lasting before temporary', {}, 'ipv6', 'eth0 - - 2001:db8::5 2001:db8::5'],
    ['of both', {}, 'dual', 'eth0 10.0.0.5 10.0.0.5 2001:db8::5 2001:db8::5'],
    ['by name', { iface: ['eth1'] }, 'ipv4', 'eth1 172.16.30.18 172.16.30.18 - -'],
    ['by name, both families', { iface: ['eth1'] }, 'dual', 'eth1 172.16.30.18 172.16.30.18 fd00::1 fd00::1'],
    [
      'by address, which is then the one used',
      { iface: ['172.16.31.200'] },
      'ipv4',
      'eth1 172.16.31.200 172.16.31.200 - -',
    ],
    [
      'an address asked for by itself may be any',
      { iface: ['10.9.9.9'] },
      'ipv4',
      'eth2 10.9.9.9 10.9.9.9 - -',
    ],
    ['by IPv6 address', { iface: ['fe80::2'] }, 'ipv6', 'eth0 - - fe80::2 fe80::2'],
    [
      'by IPv4 address in a network of both',
      { iface: ['10.0.0.9'] },
      'dual',
      'eth0 10.0.0.9 10.0.0.9 2001:db8::5 2001:db8::5',
    ],
    [
      'by IPv4 address, with --public-ipv6 on the same interface',
      { iface: ['10.0.0.9'], publicIpv6: '2001:db8::77' },
      'dual',
      'eth0 10.0.0.9 10.0.0.9 2001:db8::77 2001:db8::77',
    ],
    [
      'by IPv6 address in a network of both',
      { iface: ['fd00::1'] },
      'dual',
      'eth1 172.16.30.18 172.16.30.18 fd00::1 fd00::1',
    ],
    [
      'by the IPv6 address that --public-ipv6 names instead',
      { iface: ['fd00::1'], publicIpv6: '2001:db8::5' },
      'dual',
      'eth0 10.0.0.5 10.0.0.5 2001:db8::5 2001:db8::5',
    ],
    [
      'the first that exists',
      { iface: ['wlan0', 'eth1', 'eth0'] },
      'ipv4',
      'eth1 172.16.30.18 172.16.30.18 - -',
    ],
    ['the first that serves', { iface: ['eth2', 'eth3', 'eth0'] }, 'ipv4', 'eth0 10.0.0.5 10.0.0.5 - -'],
    [
      'P1 by expression over addresses',
      { ifaceRegex: ['172\\.16\\.31\\.\\d+'] },
      'ipv4',
      'eth1 172.16.31.200 172.16.31.200 - -',
    ],
    ['P2 by expression over names', { ifaceRegex: ['th1$'] }, 'ipv4', 'eth1 172.16.30.18 172.16.30.18 - -'],
    ['addresses before names', { ifaceRegex: ['eth0|172'] }, 'ipv4', 'eth1 172.16.30.18 172.16.30.18 - -'],
    ['usable addresses alone', { ifaceRegex: ['^10\\.9|^10\\.8'] }, 'ipv4', 'MTU 0'],
    ['IPv6 addresses', { ifaceRegex: ['^fd00:'] }, 'ipv6', 'eth1 - - fd00::1 fd00::1'],
    [
      'addresses of both families on one interface',
      { ifaceRegex: ['^172\\.16\\.31|^fd00'] },
      'dual',
      'eth1 172.16.31.200 172.16.31.200 fd00::1 fd00::1',
    ],
    [
      'nothing of an interface that matched by half',
      { ifaceRegex: ['^10\\.0|eth1'] },
      'dual',
      'eth1 172.16.30.18 172.16.30.18 fd00::1 fd00::1',
    ],
    [
      'the second expression',
      { ifaceRegex: ['^wlan', 'eth1'] },
      'ipv4',
      'eth1 172.16.30.18 172.16.30.18 - -',
    ],
    [
      '--iface before --iface-regex',
      { iface: ['eth0'], ifaceRegex: ['eth1'] },
      'ipv4',
      'eth0 10.0.0.5 10.0.0.5 - -',
    ],
    [
      'P6 with --public-ip what is published alone',
      { ifaceRegex: ['172\\.16\\.30\\.\\d+'], publicIp: '203.0.113.7' },
      'ipv4',
      'eth1 172.16.30.18 203.0.113.7 - -',
    ],
    [
      'P7 by what it reaches, with the source the kernel would use',
      { canReach: '172.16.32.254' },
      'ipv4',
      'eth1 172.16.31.200 172.16.31.200 - -',
    ],
    [
      'by what it reaches over IPv6',
      { canReach: 'fd00:99::1' },
      'ipv4',
      'eth1 172.16.30.18 172.16.30.18 - -',
    ],
    [
      'by what it reaches, both families',
      { canReach: '172.16.32.254' },
      'dual',
      'eth1 172.16.31.200 172.16.31.200 fd00::1 fd00::1',
    ],
    [
      '--iface before --iface-can-reach',
      { iface: ['eth0'], canReach: '172.16.32.254' },
      'ipv4',
      'eth0 10.0.0.5 10.0.0.5 - -',
    ],
    [
      '--iface-can-reach last',
      { iface: ['no'], ifaceRegex: ['no'], canReach: '172.16.32.254' },
      'ipv4',
      'eth1 172.16.31.200 172.16.31.200 - -',
    ],
    [
      'the owner of a bare --public-ip',
      { publicIp: '172.16.31.200' },
      'ipv4',
      'eth1 172.16.31.200 172.16.31.200 - -',
    ],
    ['the owner of a bare --public-ipv6', { publicIpv6: 'fd00::1' }, 'ipv6', 'eth1 - - fd00::1 fd00::1'],
    [
      'the owner of both, in a network of both',
      { publicIp: '172.16.31.200', publicIpv6: 'fd00::1' },
      'dual',
      'eth1 172.16.31.200 172.16.31.200 fd00::1 fd00::1',
    ],
  ] as const)('is %s', (_what, wish, stack, expected) =>
    expect(short(choose(wish, stack))).toContain(expected),
  )

  test.each([
    [{ iface: ['wlan0'] }, 'ipv4', 'no interface wlan0 (there are: lo, eth0'],
    [
      { iface: ['10.1.1.1'] },
      'ipv4',
      'no interface has the address 10.1.1.1 (there are: lo [], eth0 [10.0.0.5',
    ],
    [{ iface: ['fd00::1'] }, 'ipv4', 'the network has IPv4 alone'],
    [{ publicIpv6: 'fd00::1' }, 'ipv4', 'the network has IPv4 alone'],
    [{ iface: ['10.0.0.5'] }, 'ipv6', 'the network has IPv6 alone'],
    [{ iface: ['10.0.0.5'], publicIpv6: 'fd00::1' }, 'dual', 'both must be on one interface'],
    [{ ifaceRegex: ['^wlan'] }, 'ipv4', '^wlan matches no interface (there are: lo [], eth0 [10.0.0.5'],
    [{ ifaceRegex: ['(?=e)'] }, 'ipv4', 'invalid or unsupported Perl syntax'],
    [{ canReach: '192.0.2.1' }, 'ipv4', 'no route to 192.0.2.1'],
    [{ canReach: '192.0.2.2' }, 'ipv4', 'no route to 192.0.2.2'],
    [{ canReach: 'gateway' }, 'ipv4', 'not an IP address'],
    [{ publicIp: '203.0.113.7' }, 'ipv4', 'no interface has the address'],
    [{ iface: ['eth2'] }, 'ipv4', 'no usable IPv4 address'],
    [{ iface: ['lo'] }, 'ipv4', 'no usable IPv4 address'],
    [{ iface: ['lo'] }, 'dual', 'no usable IPv4 address'],
    [{ iface: ['eth3'] }, 'ipv4', 'MTU 0'],
    [
      { iface: ['wlan0', 'eth3'] },
      'ipv4',
      'wlan0 (there are: lo, eth0, eth1, eth2, eth3); interface eth3 has MTU 0',
    ],
  ] as const)('%j in a network of %s is refused with a sentence', (wish, stack, words) =>
    expect(choose(wish, stack)).toContain(words),
  )
  test('tells what was asked for before it', () =>
    expect(choose({ iface: ['wlan0', 'eth3', 'eth1'] })).toMatchObject({
      link: 'eth1',
      passedOver: [expect.stringContaining('wlan0'), expect.stringContaining('eth3 has MTU 0')],
    }))
  test('no default route, one of many ways, and two that differ are said', () => {
    expect(choose({}, 'ipv4', { ...view, defaultRoute: () => undefined })).toContain('no IPv4 default route')
    const many = { ...view, defaultRoute: () => ({ linkIndex: undefined, source: undefined }) }
    expect(choose({}, 'ipv6', many)).toContain('the IPv6 default route leads through several interfaces')
    const differing: HostView = {
      ...view,
      defaultRoute: (family) => ({ linkIndex: family === 'ipv4' ? 2 : 3, source: undefined }),
    }
    expect(choose({}, 'dual', differing)).toContain('IPv6 default route leads through eth1, but the IPv4 one')
  })

  test('addresses of no host on a network are never used', () => {
    const odd = ['0.0.0.0', '127.8.8.8', '224.0.0.9', '239.1.1.1', '255.255.255.255', '::', '::1', 'ff02::1']
    const all = odd.map((each) => address(each))
    expect([...usable(all, 'ipv4'), ...usable(all, 'ipv6')]).toEqual([])
  })
})

describe('an interface once chosen', () => {
  const with2 = (changed: HostInterface | undefined, more: Partial<HostView> = {}): HostView => ({
    ...view,
    interfaces: changed === undefined ? [lo, eth1] : [lo, changed, eth1],
    ...more,
  })
  const after = (from: HostView, wish: Partial<InterfaceWish> = {}, stack: Stack = 'ipv4') => {
    const before = choose(wish, stack)
    if (typeof before === 'string') throw new Error(before)
    return short(keepInterface(from, { ...NONE, ...wish }, stack, before))
  }
  const noDefault = { defaultRoute: () => undefined }
  const elsewhere = { defaultRoute: () => ({ linkIndex: 3, source: undefined }) }
  const renewed = link(2, 'eth0', [address('10.0.0.77')])

  test('keeps its address though others would be preferred by now', () => {
    expect(after(with2(link(2, 'eth0', [address('10.0.0.1'), address('10.0.0.5')])))).toStartWith(
      'eth0 10.0.0.5',
    )
  })
  test('stays, whatever the default route does', () => {
    expect(after(with2(eth0, noDefault))).toStartWith('eth0 10.0.0.5')
    expect(after(with2(eth0, elsewhere))).toStartWith('eth0 10.0.0.5')
  })
  test('stays under another name and with another MTU', () => {
    expect(after(with2({ ...eth0, name: 'lan0', mtuBytes: 1400 }), { iface: ['eth0'] })).toStartWith(
      'lan0 10.0.0.5',
    )
  })
  test('has another address: that one', () => {
    expect(after(with2(renewed))).toBe('eth0 10.0.0.77 10.0.0.77 - -')
    expect(after(with2(renewed), { iface: ['eth0'] })).toBe('eth0 10.0.0.77 10.0.0.77 - -')
  })
  test('has another address, and the default route isn’t back or is elsewhere: that one', () => {
    expect(after(with2(renewed, noDefault))).toStartWith('eth0 10.0.0.77')
    expect(after(with2(renewed, elsewhere))).toStartWith('eth0 10.0.0.77')
  })
  test('has another name and another address', () => {
    expect(after(with2({ ...renewed, name: 'lan0' }), { iface: ['eth0'] })).toStartWith('lan0 10.0.0.77')
  })
  test('has lost the address that was asked for: no other one will do', () => {
    expect(after(with2(renewed), { iface: ['10.0.0.5'] })).toContain('no interface has the address 10.0.0.5')
    expect(after(with2(renewed), { publicIp: '10.0.0.5' })).toContain('no interface has the address 10.0.0.5')
    expect(after(with2(renewed), { ifaceRegex: ['10\\.0\\.0\\.5'] })).toContain('matches no interface')
  })
  test('goes on publishing what --public-ip says', () => {
    expect(after(with2(renewed), { iface: ['eth0'], publicIp: '203.0.113.7' })).toBe(
      'eth0 10.0.0.77 203.0.113.7 - -',
    )
  })
  test('has no address: the next one that was asked for, or a sentence', () => {
    const bare = link(2, 'eth0', [])
    expect(after(with2(bare), { iface: ['eth0', 'eth1'] })).toStartWith('eth1 ')
    expect(after(with2(bare), { iface: ['eth0'] })).toContain('no usable IPv4 address')
  })
  test('is gone: another, or a sentence; back with another index: that', () => {
    expect(after(with2(undefined, noDefault))).toContain('no IPv4 default route')
    expect(after(with2(undefined, elsewhere))).toStartWith('eth1 ')
    expect(after(with2(undefined), { iface: ['eth0'] })).toContain('no interface eth0')
    const back = with2(
      { ...renewed, index: 9 },
      { defaultRoute: () => ({ linkIndex: 9, source: undefined }) },
    )
    expect(after(back)).toStartWith('eth0 10.0.0.77')
  })
  test('waits for another address than a link-local one, under whatever index', () => {
    const bare = [address('10.0.0.5'), address('fe80::2')]
    for (const index of [2, 9])
      expect(after(with2(link(index, 'eth0', bare)), { iface: ['eth0'] }, 'dual')).toMatch(
        /^eth0 has lost \S+:\S+, and no link-local address takes its place/,
      )
    const zeroconf = link(2, 'eth0', [address('169.254.7.7')])
    expect(after(with2(zeroconf))).toContain('eth0 has lost 10.0.0.5')
  })
  test('keeps one family when the other one changes', () => {
    const renumbered = link(2, 'eth0', [address('10.0.0.1'), address('10.0.0.5'), address('2001:db8::99')])
    expect(after(with2(renumbered), {}, 'dual')).toBe('eth0 10.0.0.5 10.0.0.5 2001:db8::99 2001:db8::99')
  })
})
