// Links of our own: VXLAN devices.
import type { Link } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const linkKind: Kind<Link> = {
  name: 'link',
  after: [],
  key: (l) => l.name,
  on: (l) => l.vxlan.underlay,
  same: (want, have) =>
    have.unrecognised === undefined &&
    have.altered === undefined &&
    want.up === have.up &&
    want.mac === have.mac &&
    want.mtuBytes === have.mtuBytes &&
    want.vxlan.local === have.vxlan.local &&
    want.vxlan.underlay === have.vxlan.underlay &&
    want.vxlan.learning === have.vxlan.learning &&
    (want.checksumOffload === undefined || want.checksumOffload === offloads(have)) &&
    isSameTunnel(want, have),
  ours: (have, scope) => (scope.links.has(have.name) ? 'ours' : 'foreign'),
  adopts: () => false,
  disturbs(before, after) {
    if (before === undefined || after === undefined || !isSameTunnel(before, after)) return ALL
    // A VRF sets what joins or leaves it down and up.
    if (before.up !== after.up || before.altered !== after.altered) return ALL
    return before.mac === after.mac ? [] : NEIGHBOURS
  },
}

/** Of a device that is there. */
const offloads = (have: Link): boolean => have.checksumOffload ?? true

/** Whether one can become the other in place; the kernel refuses it for what is compared here. */
export const isSameTunnel = (a: Link, b: Link): boolean =>
  a.vxlan.vni === b.vxlan.vni &&
  a.vxlan.port === b.vxlan.port &&
  a.vxlan.gbp === b.vxlan.gbp &&
  a.vxlan.local.includes(':') === b.vxlan.local.includes(':')

// Down or gone: IPv4 routes and nexthops go unannounced. A new MAC empties the device's permanent neighbours.
const ALL = ['address', 'neighbour', 'fdb', 'nexthop', 'route'] as const
const NEIGHBOURS = ['neighbour'] as const
