// Begins to ask about paths as the options and the network config say, with what another run has left behind, and puts
// in force what is found.
import { FAMILIES, familyOf, type Family } from '../../model/ip.ts'
import { subnetsOf } from '../../model/lease.ts'
import { familyOfPrefix, type Prefix } from '../../model/prefix.ts'
import { VXLAN_OVERHEAD_BYTES } from '../../model/vxlan.ts'
import { listLinks, parseLink } from '../../netlink/link.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { knownMtus } from '../../path-mtu/known.ts'
import type { Thrift } from '../../sys/thrift.ts'
import type { Fabric } from '../fabric.ts'
import type { Identity } from '../identity.ts'
import type { Network } from '../network.ts'
import type { Options } from '../options.ts'
import type { Tenancy } from '../tenancy.ts'
import { PathKeeper } from './keeper.ts'

export interface Findings {
  /** By subnet, what packets to it may have. */
  readonly known: ReadonlyMap<Prefix, number>
  /** What this host's devices are limited to for the sake of small paths, of outer packets. */
  readonly limitBytes: number | undefined
  /** Those that have small paths. */
  readonly tunnels: readonly { readonly family: Family; readonly device: string }[]
}

/** Undefined with `--mtu-probe=off`. */
export function openPaths(options: Options, network: Network, identity: Identity): PathKeeper | undefined {
  if (options['mtu-probe'] === 'off') return undefined
  using netlink = NetlinkSocket.open('route')
  const { known, limitBytes } = findings(options, network, identity, netlink)
  return new PathKeeper({
    interfaceBytes: () => identity.place.mtuBytes,
    asks: () => network.backend.asksPaths(),
    families: () => FAMILIES.filter((family) => identity.self([])[family] !== undefined),
    known,
    limitBytes,
  })
}

/** What a daemon, this one's predecessor or one that runs, has found out, as it stands in the kernel. */
export function findings(
  options: Options,
  network: Network,
  identity: Identity,
  netlink: NetlinkSocket,
): Findings {
  if (options['mtu-probe'] === 'off' || !network.backend.asksPaths())
    return { known: new Map(), limitBytes: undefined, tunnels: [] }
  const known = knownMtus(netlink)
  const families = new Set([...known.keys()].map(familyOfPrefix))
  const tunnels = network.backend
    .devices(identity.self([]))
    .flatMap((object) =>
      object.kind === 'link' ? [{ family: familyOf(object.vxlan.local), device: object.name }] : [],
    )
    .filter(({ family }) => families.has(family))
  return { known, limitBytes: leftLimit(known, netlink, network, identity), tunnels }
}

/** Devices that are as small as the smallest known path were limited for its sake, and stay so until more is known. */
function leftLimit(
  known: ReadonlyMap<Prefix, number>,
  netlink: NetlinkSocket,
  network: Network,
  identity: Identity,
): number | undefined {
  if (known.size === 0) return undefined
  const outer = [...known].map(([subnet, mtu]) => mtu + VXLAN_OVERHEAD_BYTES[familyOfPrefix(subnet)])
  const least = Math.min(...outer)
  const there = new Map(
    netlink.dump(listLinks(), ({ body }) => parseLink(body)).map(({ name, mtuBytes }) => [name, mtuBytes]),
  )
  const devices = network.backend.devices(identity.self([])).filter((object) => object.kind === 'link')
  const limits = devices.map(({ name, mtuBytes }) => {
    const has = there.get(name)
    return has === undefined || has >= mtuBytes ? undefined : identity.place.mtuBytes - (mtuBytes - has)
  })
  const [limit] = limits
  return limit !== undefined && limits.every((each) => each === limit) && limit >= least ? limit : undefined
}

/** From now on routes, devices and subnet.env follow what is found. */
export function followPaths(
  keeper: PathKeeper | undefined,
  fabric: Fabric,
  { identity, tenancy, thrift }: { identity: Identity; tenancy: Tenancy; thrift: Thrift },
): void {
  if (keeper === undefined) return
  keeper.onLooked = () => thrift.stirred()
  keeper.onRoutes = (keys) => fabric.reroute(keys)
  keeper.onLimit = () => {
    identity.limit(keeper.limitBytes)
    fabric.become(identity.self(subnetsOf(tenancy.lease)), tenancy.lease)
    tenancy.relocated()
  }
}
