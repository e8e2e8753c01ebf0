// Faults in the tables: what hangs on heddle's devices is flushed, altered, or gets company that must go.
import { deviceOf, FAMILIES, flagOf, type Family } from '../family.ts'
import type { Half } from '../leases.ts'
import { choose, script, type Fault, type Scene } from './fault.ts'

interface Target extends Scene {
  readonly family: Family
  /** `ip -4` or `ip -6`. */
  readonly ip: string
  readonly device: string
  /** A peer, and its own address on the device. */
  readonly peer: Half
  readonly via: string
}

const inTable = (name: string, text: (target: Target) => string): Fault =>
  script(name, (scene) => {
    const { world, site, random } = scene
    const family = choose(random, FAMILIES)
    const other = choose(
      random,
      world.sites.filter((one) => one !== site),
    )
    const peer = world.leases.get(other.host.subnet)?.[family]
    if (peer === undefined) throw new Error(`${other.name} has no lease of ${family}`)
    const via = peer.subnet.replace(/\/\d+$/, '')
    return text({ ...scene, family, ip: `ip ${flagOf(family)}`, device: deviceOf(family), peer, via })
  })

const STRANGER: Record<Family, { subnet: string; via: string; publicIp: string }> = {
  ipv4: { subnet: '10.244.91.0/24', via: '10.244.91.0', publicIp: '192.168.100.251' },
  ipv6: { subnet: 'fd44:244:0:fb::/64', via: 'fd44:244:0:fb::', publicIp: 'fd00:100::251' },
}
const MAC = '02:ba:d1:00:00:01'
// What heddle has put back already may be met again: each is tried once.
const each = (list: string, act: string): string => `${list} | while read first rest; do ${act} || :; done`

export const TABLE_FAULTS: readonly Fault[] = [
  // Not `ip route flush dev`: iproute2 names both nexthop and gateway, which the kernel refuses.
  inTable('routes flushed', ({ ip, device }) =>
    each(`${ip} route show dev ${device} proto 0x68`, `${ip} route del $first`),
  ),
  inTable('one route deleted', ({ ip, peer }) => `${ip} route del ${peer.subnet}`),
  inTable(
    'one route to somewhere else',
    ({ ip, peer }) => `${ip} route replace ${peer.subnet} dev foreign0 proto 0x68`,
  ),
  inTable(
    'one route through the wrong peer',
    ({ ip, family, peer, device }) =>
      `${ip} route replace ${peer.subnet} via ${STRANGER[family].via} dev ${device} onlink`,
  ),
  inTable(
    'one route through several peers',
    ({ ip, family, peer, device, via }) =>
      `${ip} route replace ${peer.subnet} proto 0x68 nexthop via ${STRANGER[family].via} dev ${device} onlink nexthop via ${via} dev ${device} onlink`,
  ),
  inTable(
    'a second route beside one',
    ({ ip, family, peer, device, random }) =>
      `${ip} route ${choose(random, ['append', 'prepend'])} ${peer.subnet} via ${STRANGER[family].via} dev ${device} onlink proto ${choose(random, ['0x68', 'boot'])}`,
  ),
  inTable(
    'a route too many',
    ({ ip, family, device, random }) =>
      `${ip} route add ${STRANGER[family].subnet} via ${STRANGER[family].via} dev ${device} onlink proto ${choose(random, ['0x68', 'boot'])}`,
  ),
  inTable('neighbours flushed', ({ ip, device }) => `${ip} neighbour flush dev ${device} nud permanent`),
  inTable('one neighbour deleted', ({ ip, via, device }) => `${ip} neighbour del ${via} dev ${device}`),
  inTable(
    'one neighbour with another MAC',
    ({ ip, via, device }) => `${ip} neighbour replace ${via} lladdr ${MAC} dev ${device} nud permanent`,
  ),
  inTable(
    'one neighbour that passes',
    ({ ip, via, device, peer }) =>
      `${ip} neighbour replace ${via} lladdr ${peer.mac} dev ${device} nud stale`,
  ),
  inTable(
    'a neighbour too many',
    ({ ip, family, device }) =>
      `${ip} neighbour replace ${STRANGER[family].via} lladdr ${MAC} dev ${device} nud permanent`,
  ),
  inTable('FDB flushed', ({ device, random }) =>
    random() < 0.5
      ? `bridge fdb flush dev ${device} self`
      : each(`bridge fdb show dev ${device}`, `bridge fdb del $first dev ${device} self`),
  ),
  inTable('one FDB entry deleted', ({ device, peer }) => `bridge fdb del ${peer.mac} dev ${device} self`),
  inTable(
    'one FDB entry to elsewhere',
    ({ device, peer, family }) =>
      `bridge fdb replace ${peer.mac} dev ${device} self dst ${STRANGER[family].publicIp}`,
  ),
  inTable(
    'one FDB entry to another port',
    ({ device, peer }) => `bridge fdb replace ${peer.mac} dev ${device} self dst ${peer.publicIp} port 9`,
  ),
  inTable(
    'an FDB entry for all that is unknown',
    ({ device, family }) =>
      `bridge fdb append 00:00:00:00:00:00 dev ${device} self dst ${STRANGER[family].publicIp}`,
  ),
  inTable(
    'an FDB entry too many',
    ({ device, family }) => `bridge fdb add ${MAC} dev ${device} self dst ${STRANGER[family].publicIp}`,
  ),
  inTable('nexthops flushed', ({ device }) => `ip nexthop flush dev ${device}`),
  inTable(
    'one nexthop deleted',
    ({ ip, device }) =>
      `ip nexthop del id $(${ip} nexthop show dev ${device} proto 0x68 | sed -n 's/^id \\([0-9]*\\) .*/\\1/p' | head -1)`,
  ),
  inTable(
    'one nexthop altered',
    ({ ip, device, family }) =>
      `ip nexthop replace id $(${ip} nexthop show dev ${device} proto 0x68 | sed -n 's/^id \\([0-9]*\\) .*/\\1/p' | head -1) via ${STRANGER[family].via} dev ${device} onlink proto 0x68`,
  ),
  inTable(
    // Of heddle's ids, which nobody else gives.
    'a nexthop too many',
    ({ family, device }) =>
      `ip nexthop add id 1760428032 via ${STRANGER[family].via} dev ${device} onlink proto 0x68`,
  ),
  inTable('tables of nf_tables deleted', ({ family }) => {
    const name = family === 'ipv4' ? 'ip flannel-ipv4' : 'ip6 flannel-ipv6'
    return `nft delete table ${name}`
  }),
  inTable('chains of nf_tables flushed', ({ family }) => {
    const name = family === 'ipv4' ? 'ip flannel-ipv4' : 'ip6 flannel-ipv6'
    return `nft flush chain ${name} postrtg`
  }),
  inTable('a rule of nf_tables too many', ({ family }) => {
    const name = family === 'ipv4' ? 'ip flannel-ipv4' : 'ip6 flannel-ipv6'
    return `nft insert rule ${name} forward counter drop`
  }),
  // Other people's part is there again at once, as where `nft -f` loads a host's rules anew.
  inTable(
    'the ruleset of nf_tables reloaded',
    () => `{ echo flush ruleset; nft list ruleset | sed '/^table ip6* flannel/,/^}/d'; } | nft -f -`,
  ),
]
