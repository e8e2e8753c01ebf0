// What every host must look like by the leases and the host's place, against what it does look like. Written without
// heddle's own code, so that what that overlooks is seen here.
import { deviceOf, FAMILIES, type Family } from './family.ts'
import { readLeases, type Half, type Lease } from './leases.ts'
import type { Site } from './site.ts'
import { item, snapshot, type Item } from './snapshot.ts'
import type { World } from './world.ts'

/** Outer Ethernet, IP, UDP and VXLAN headers: RFC 7348 §5. */
const OVERHEAD_BYTES: Record<Family, number> = { ipv4: 50, ipv6: 70 }
const HOST_LENGTH: Record<Family, number> = { ipv4: 32, ipv6: 128 }

/** Lines of objects that are missing (`-`) and of those that are too much (`+`) on a host. */
export async function objectTroubles(world: World, site: Site): Promise<string[]> {
  const expected = new Set([
    ...expectedObjects(world, site).map(({ line }) => line),
    ...site.tables,
    ...site.foreign,
  ])
  const actual = await snapshot(site.shell)
  const there = new Set(actual.map(({ line }) => line))
  return [
    ...[...expected].filter((line) => !there.has(line)).map((line) => `${site.name} - ${line}`),
    ...actual
      .filter((one) => isHeddles(one) && !expected.has(one.line))
      .map(({ line }) => `${site.name} + ${line}`),
  ]
}

/** Leases in the store that aren't as they should be. */
export function leaseTroubles(world: World): string[] {
  const stored = readLeases(world.store)
  const text = (lease: Lease | undefined) => JSON.stringify(lease)
  return [...new Set([...stored.keys(), ...world.leases.keys()])]
    .map((key) => ({ is: text(stored.get(key)), should: text(leaseNow(world, key)) }))
    .filter(({ is, should }) => is !== should)
    .map(({ is, should }) => `store: the lease is ${is}, not ${should}`)
}

/** With the public address of the host that holds it. */
function leaseNow(world: World, key: string): Lease | undefined {
  const lease = world.leases.get(key)
  const holder = world.sites.find((site) => site.host.subnet === key)
  if (lease === undefined || holder === undefined) return lease
  const at = (family: Family, half: Half): Half => ({ ...half, publicIp: holder.underlay.ip[family] })
  return {
    ...(lease.ipv4 && { ipv4: at('ipv4', lease.ipv4) }),
    ...(lease.ipv6 && { ipv6: at('ipv6', lease.ipv6) }),
  }
}

function expectedObjects(world: World, site: Site): Item[] {
  return FAMILIES.flatMap((family) => {
    const objects: Item[] = []
    for (const key of world.leases.keys()) {
      const half = leaseNow(world, key)?.[family]
      if (half !== undefined)
        objects.push(
          ...(key === site.host.subnet ? ownObjects(site, family, half) : peerObjects(family, half)),
        )
    }
    return objects
  })
}

const baseOf = (half: Half): string => half.subnet.replace(/\/\d+$/, '')

function ownObjects({ underlay }: Site, family: Family, own: Half): Item[] {
  const name = deviceOf(family)
  return [
    item('link', {
      name,
      type: 'vxlan',
      mtu: underlay.mtuBytes - OVERHEAD_BYTES[family],
      mac: own.mac,
      up: true,
      id: 1,
      [family === 'ipv4' ? 'local' : 'local6']: underlay.ip[family],
      link: underlay.name,
      port: 8472,
      learning: false,
      port_range: { low: 0, high: 0 },
      ttl: 0,
      df: 'unset',
      ageing: 300,
      udp_csum: true,
      udp_zero_csum6_tx: false,
      udp_zero_csum6_rx: false,
    }),
    item('address', { dev: name, ip: `${baseOf(own)}/${HOST_LENGTH[family]}`, scope: 'global' }),
  ]
}

function peerObjects(family: Family, peer: Half): Item[] {
  const dev = deviceOf(family)
  const gateway = baseOf(peer)
  return [
    item('neighbour', { dst: gateway, dev, lladdr: peer.mac }),
    item('fdb', { mac: peer.mac, ifname: dev, dst: peer.publicIp, flags: ['self'] }),
    item('nexthop', { gateway, dev, scope: 'link', protocol: '104', flags: ['onlink'] }),
    item('route', {
      type: 'unicast',
      dst: peer.subnet,
      table: 'main',
      nhid: 'ours',
      gateway,
      dev,
      protocol: '104',
      scope: 'global',
      ...(family === 'ipv6' && { metric: 1024 }),
      flags: 'onlink',
    }),
  ]
}

/** Whether an object looks like one of heddle's: one that isn't wanted must go, unless it is known to be foreign. */
function isHeddles({ kind, fields, line }: Item): boolean {
  const on = String(fields['dev'] ?? fields['ifname'] ?? fields['name'])
  const isOnDevice = on.startsWith('flannel')
  switch (kind) {
    case 'link':
      return isOnDevice || (fields['type'] === 'vxlan' && fields['id'] === 1)
    case 'address':
      return isOnDevice && fields['scope'] !== 'link'
    case 'route':
      return (isOnDevice || fields['protocol'] === '104') && fields['protocol'] !== 'kernel'
    case 'table':
      return line.includes('flannel-ip')
    case 'neighbour':
    case 'fdb':
    case 'nexthop':
      return isOnDevice
    case 'rule':
      return false
  }
}
