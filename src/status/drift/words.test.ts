// Objects read as ip(8) prints them, and a difference names the property that differs.
import { describe, expect, test } from 'bun:test'
import { ip, mac, prefix } from '../../../test/support/values.ts'
import { addressKind } from '../../dataplane/kinds/address.ts'
import { fdbKind } from '../../dataplane/kinds/fdb.ts'
import { iptablesChainKind } from '../../dataplane/kinds/iptables-chain.ts'
import { linkKind } from '../../dataplane/kinds/link.ts'
import { neighbourKind } from '../../dataplane/kinds/neighbour.ts'
import { nexthopKind } from '../../dataplane/kinds/nexthop.ts'
import { nftTableKind } from '../../dataplane/kinds/nft-table.ts'
import { routeKind } from '../../dataplane/kinds/route.ts'
import {
  address,
  fdbEntry,
  link,
  neighbour,
  nexthop,
  route,
  sysctl,
  type IptablesChain,
  type KernelObject,
} from '../../model/kernel.ts'
import { firewallTables } from '../../firewall/rules.ts'
import { differences, keyName, objectName, objectText } from './words.ts'

const device = link({
  name: 'flannel.1',
  mac: mac('02:00:00:00:00:01'),
  mtuBytes: 1450,
  vxlan: { vni: 1, port: 8472, local: ip('192.168.0.1'), underlay: 'eth0', learning: false, gbp: false },
})
const tunnelled = route({
  to: prefix('10.5.3.0/24'),
  via: ip('10.5.3.0'),
  link: 'flannel.1',
  onLink: true,
  through: 'nexthop',
})
const chain: IptablesChain = {
  kind: 'iptables-chain',
  flavour: 'legacy',
  family: 'ipv6',
  table: 'filter',
  name: 'FLANNEL-FWD',
  rules: ['-s fd00:10::/32 -j ACCEPT'],
  jump: { from: 'FORWARD', rule: '-j FLANNEL-FWD' },
}
const tables = (masquerade: boolean) =>
  firewallTables({ masquerade, forward: true, fullyRandom: true }, [
    { network: prefix('10.5.0.0/16'), subnet: prefix('10.5.1.0/24') },
  ])

const threshold = sysctl({
  name: 'net/ipv4/neigh/default/gc_thresh3',
  value: 4096,
  fine: 'greater',
  why: 'many peers',
  undo: 'restore',
})

test('a setting that is too low says what would be enough', () => {
  expect(
    differences(threshold, { kind: 'sysctl', name: threshold.name, value: 1024, why: '', undo: 'none' }),
  ).toEqual([{ field: 'value', want: '>= 4096', have: '= 1024' }])
  expect(keyName('sysctl', 'net/ipv4/ip_forward')).toBe('sysctl net.ipv4.ip_forward')
  // sysctl(8) takes a dot for a slash where the first separator is one.
  expect(keyName('sysctl', 'net/ipv4/conf/flannel.1/rp_filter')).toBe(
    'sysctl net/ipv4/conf/flannel.1/rp_filter',
  )
})

describe('kernel objects in words', () => {
  test.each<[KernelObject, string]>([
    [
      device,
      'link flannel.1 up mtu 1450 address 02:00:00:00:00:01 vxlan id 1 local 192.168.0.1 dev eth0 dstport 8472 nolearning',
    ],
    [address({ link: 'flannel.1', ip: ip('10.5.1.0'), length: 32 }), 'address 10.5.1.0/32 dev flannel.1'],
    [tunnelled, 'route 10.5.3.0/24 via 10.5.3.0 dev flannel.1 onlink'],
    [
      neighbour({ link: 'flannel.1', ip: ip('fd00::3'), mac: mac('02:00:00:00:00:03') }),
      'neigh fd00::3 dev flannel.1 lladdr 02:00:00:00:00:03',
    ],
    [
      fdbEntry({ link: 'flannel.1', mac: mac('02:00:00:00:00:03'), dst: ip('192.168.0.3') }),
      'fdb 02:00:00:00:00:03 dev flannel.1 dst 192.168.0.3',
    ],
    [
      nexthop({ link: 'flannel.1', via: ip('10.5.3.0'), onLink: true }),
      'nexthop via 10.5.3.0 dev flannel.1 onlink',
    ],
    ...tables(true).map((table): [KernelObject, string] => [table, 'table ip flannel-ipv4']),
    [chain, 'chain FLANNEL-FWD of ip6tables-legacy -t filter'],
    [threshold, 'sysctl net.ipv4.neigh.default.gc_thresh3 >= 4096'],
  ])('%#', (object, text) => expect(objectText(object)).toBe(text))
})

test('what is known by its key alone has the same name', () => {
  const named = (object: KernelObject, key: string) =>
    expect(keyName(object.kind, key)).toBe(objectName(object))
  const at = { link: 'flannel.1', mac: mac('02:00:00:00:00:03') }
  const own = address({ link: 'flannel.1', ip: ip('10.5.1.0'), length: 32 })
  const gateway = neighbour({ ...at, ip: ip('fd00::3') })
  const entry = fdbEntry({ ...at, dst: ip('192.168.0.3') })
  const hop = nexthop({ link: 'flannel.1', via: ip('10.5.3.0'), onLink: true })
  named(device, linkKind.key(device))
  named(own, addressKind.key(own))
  named(tunnelled, routeKind.key(tunnelled))
  named(gateway, neighbourKind.key(gateway))
  named(entry, fdbKind.key(entry))
  named(hop, nexthopKind.key(hop))
  for (const table of tables(true)) named(table, nftTableKind.key(table))
  named(chain, iptablesChainKind.key(chain))
})

describe('differences', () => {
  test('name each property that differs, and no other', () => {
    expect(differences(device, { ...device, mtuBytes: 1300, up: false })).toEqual([
      { field: 'state', want: 'up', have: 'down' },
      { field: 'mtu', want: '1450', have: '1300' },
    ])
    expect(differences(device, { ...device, unrecognised: 'proxy' })).toEqual([
      { field: 'more', want: 'none', have: 'proxy' },
    ])
    expect(differences(tunnelled, { ...tunnelled, through: 'plain', protocol: 3 })).toEqual([
      { field: 'nhid', want: 'a nexthop object', have: 'none' },
      { field: 'proto', want: '104', have: '3' },
    ])
    expect(differences(tunnelled, { ...tunnelled, metric: 50 })).toEqual([
      { field: 'metric', want: 'the usual', have: '50' },
    ])
    expect(differences({ ...tunnelled, mtuBytes: 1350 }, tunnelled)).toEqual([
      { field: 'mtu', want: '1350', have: "the link's" },
    ])
    expect(differences(device, { ...device, altered: 'master br0' })).toEqual([
      { field: 'more', want: 'none', have: 'master br0' },
    ])
    expect(differences({ ...device, checksumOffload: false }, device)).toEqual([
      { field: 'tx-checksumming', want: 'off', have: 'on' },
    ])
    expect(differences({ ...device, checksumOffload: true }, device)).toEqual([])
    expect(differences(device, { ...device, checksumOffload: false })).toEqual([])
    expect(differences(tunnelled, tunnelled)).toEqual([])
  })

  test('name the chain of a table that has other rules, or none', () => {
    const [want] = tables(true)
    const [have] = tables(false)
    if (want === undefined || have === undefined) throw new Error('no tables')
    expect(differences(want, have)).toEqual([{ field: 'chain postrtg', want: 'its rules', have: 'none' }])
    const other = { ...want, chains: want.chains.map((chain) => ({ ...chain, rules: [] })) }
    expect(differences(want, other)).toEqual([
      { field: 'chain postrtg', want: 'its rules', have: 'other rules' },
      { field: 'chain forward', want: 'its rules', have: 'other rules' },
    ])
  })

  test('name the rules and the jump of a chain of iptables, and what is wrong with it', () => {
    const other = { ...chain, rules: [], jump: { ...chain.jump, rule: '-i a -j FLANNEL-FWD' }, awry: 'two' }
    expect(differences(chain, other)).toEqual([
      { field: 'chain FLANNEL-FWD', want: 'its rules', have: 'other rules' },
      { field: 'jump in FORWARD', want: '-j FLANNEL-FWD', have: '-i a -j FLANNEL-FWD' },
      { field: 'more', want: 'none', have: 'two' },
    ])
    expect(differences(chain, chain)).toEqual([])
  })
})
