// Whether what is ours in the kernel fits together: what can be told where nobody knows what should be there. Pure.
import { bitsOf } from '../../model/ip.ts'
import type { Address, FdbEntry, KernelObject, Link, Neighbour, Nexthop, Route } from '../../model/kernel.ts'
import { baseOf, containsIp, familyOfPrefix, type Prefix } from '../../model/prefix.ts'
import type { DriftingObject } from './report.ts'
import { objectName, objectText } from './words.ts'

/** What this host was leased, if subnet.env tells. */
interface Told {
  readonly subnets: readonly Prefix[]
}

/** `objects`: all that is ours. */
export function incoherences(objects: readonly KernelObject[], { subnets }: Told): DriftingObject[] {
  const of = <K extends KernelObject['kind']>(kind: K) =>
    objects.filter((object): object is Extract<KernelObject, { kind: K }> => object.kind === kind)
  const links = of('link')
  const neighbours = of('neighbour')
  const entries = of('fdb')
  const devices = new Set(links.map(({ name }) => name))
  const nexthops = of('nexthop').filter(({ link }) => devices.has(link))
  const routes = of('route').filter(({ link }) => devices.has(link))
  const routed = new Set(routes.map(({ link, via }) => `${link}|${via}`))
  const resolved = new Set(neighbours.map(({ link, ip }) => `${link}|${ip}`))
  const macs = new Set(neighbours.map(({ link, mac }) => `${link}|${mac}`))
  const forwarded = new Set(entries.map(({ link, mac }) => `${link}|${mac}`))
  const unresolvedRoutes = routes.filter(({ link, via }) => !resolved.has(`${link}|${via}`))
  // Neighbours of a family that nothing tells of aren't read at all.
  const read = new Set([
    ...[...neighbours, ...routes].map(({ link }) => link),
    ...links.flatMap(({ name }) => (subnets.some((subnet) => isOn(name, subnet)) ? [name] : [])),
  ])
  const unresolvedMacs = entries.filter(({ link, mac }) => read.has(link) && !macs.has(`${link}|${mac}`))
  // One neighbour that is gone leaves its route and its FDB entry behind: told once.
  const gatewaysOn = (device: string) =>
    new Set(unresolvedRoutes.flatMap(({ link, via }) => (link === device ? [via] : []))).size
  const macsOn = (device: string) => unresolvedMacs.filter(({ link }) => link === device).length
  const orphaned = new Set([...devices].filter((device) => macsOn(device) > gatewaysOn(device)))
  return [
    ...links.filter(({ up }) => !up).map(down),
    ...links.flatMap((link) => unaddressed(link, of('address'), subnets)),
    ...unresolvedRoutes.map(withoutNeighbour),
    ...neighbours.filter(({ link, mac }) => !forwarded.has(`${link}|${mac}`)).map(withoutEntry),
    ...unresolvedMacs.filter(({ link }) => orphaned.has(link)).map(withoutResolution),
    ...neighbours.filter(({ link, ip }) => !routed.has(`${link}|${ip}`)).map(withoutRoute),
    ...nexthops
      .filter(({ link, via }) => !resolved.has(`${link}|${via}`) && !routed.has(`${link}|${via}`))
      .map(idle),
  ]
}

const missing = (
  kind: DriftingObject['kind'],
  key: string,
  object: string,
  reason: string,
): DriftingObject => ({ kind, key, what: 'missing', name: object, object, differences: [], reason })

const down = (link: Link): DriftingObject => ({
  kind: 'link',
  key: link.name,
  what: 'different',
  name: objectName(link),
  object: objectText(link),
  differences: [{ field: 'state', want: 'up', have: 'down' }],
})

const isOn = (device: string, subnet: Prefix): boolean =>
  (familyOfPrefix(subnet) === 'ipv6') === device.startsWith('flannel-v6')

/** A device carries the first address of its family's subnet. */
function unaddressed(
  { name }: Link,
  addresses: readonly Address[],
  subnets: readonly Prefix[],
): DriftingObject[] {
  return subnets
    .filter((subnet) => isOn(name, subnet))
    .filter((subnet) => !addresses.some(({ link, ip }) => link === name && containsIp(subnet, ip)))
    .map((subnet) => {
      const address = `${baseOf(subnet)}/${bitsOf(familyOfPrefix(subnet))}`
      const reason = `subnet.env has ${subnet}`
      return missing('address', `${name}|${address}`, `address ${address} dev ${name}`, reason)
    })
}

const withoutNeighbour = ({ link, via, to }: Route): DriftingObject =>
  missing(
    'neighbour',
    `${link}|${via}`,
    `neigh ${via} dev ${link}`,
    `route ${to} leads through it; which MAC it has only the lease tells`,
  )
const withoutEntry = ({ link, mac, ip }: Neighbour): DriftingObject =>
  missing(
    'fdb',
    `${link}|${mac}`,
    `fdb ${mac} dev ${link}`,
    `neighbour ${ip} has that MAC; behind which host it is only the lease tells`,
  )
const withoutResolution = ({ link, mac, dst }: FdbEntry): DriftingObject =>
  missing(
    'neighbour',
    `${link}|${mac}`,
    `neigh lladdr ${mac} dev ${link}`,
    `the FDB leads that MAC to ${dst}`,
  )
const withoutRoute = ({ link, ip }: Neighbour): DriftingObject =>
  missing('route', `${link}|${ip}`, `route via ${ip} dev ${link}`, `neighbour ${ip} is there for nothing`)
const idle = (nexthop: Nexthop): DriftingObject => ({
  kind: 'nexthop',
  key: `${nexthop.link}|${nexthop.via}`,
  what: 'extra',
  name: objectName(nexthop),
  object: objectText(nexthop),
  differences: [],
  reason: 'neither a route nor a neighbour goes with it',
})
