// The pod's side: a veth pair from the bridge into the pod's namespace, addresses and routes.
import { familyOf, isIPv4 } from '../../model/ip.ts'
import type { Mac } from '../../model/mac.ts'
import { familyOfPrefix } from '../../model/prefix.ts'
import { IFA_F, putAddress } from '../../netlink/address.ts'
import { changeBridgePort } from '../../netlink/bridge-port.ts'
import { ignoreMissing, isExists } from '../../netlink/error.ts'
import { changeLink, createLink, removeLink, type LinkInfo } from '../../netlink/link.ts'
import { addRoute, PROTOCOL } from '../../netlink/route.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Namespace } from '../../sys/namespace.ts'
import { Code, CniError } from '../error.ts'
import type { Given } from '../ipam/host-local.ts'
import type { Route } from '../result.ts'
import { enableIpv6, findLink, randomMac, setIfThere } from './bridge.ts'

export interface Pair {
  /** In the bridge, up. */
  readonly host: { readonly name: string; readonly mac: Mac }
  /** In the pod, down. */
  readonly pod: LinkInfo
}
export interface PairOptions {
  readonly bridge: LinkInfo
  readonly hairpin: boolean
  readonly mtuBytes: number | undefined
  /** Of the pod's end. */
  readonly mac: Mac | undefined
  readonly ifname: string
}

/** Both ends in one message: the host's is in the bridge and up, the pod's in its namespace, from their first moment. */
export function makePair(
  onHost: NetlinkSocket,
  inPod: NetlinkSocket,
  namespace: Namespace,
  options: PairOptions,
): Pair {
  const { bridge, ifname } = options
  const mac = randomMac()
  const mtu = options.mtuBytes === undefined ? {} : { mtuBytes: options.mtuBytes }
  const peer = {
    name: ifname,
    mac: options.mac ?? randomMac(),
    namespace: { fd: namespace.fd },
    ...mtu,
  }
  const name = create(onHost, inPod, ifname, (name) => ({
    name,
    up: true,
    mac,
    master: bridge.index,
    ...mtu,
    kind: { type: 'veth', peer },
  }))
  try {
    setIfThere(`net/ipv6/conf/${name}/accept_ra`, 0)
    if (options.hairpin) onHost.request(changeBridgePort(name, { hairpin: true }))
    const pod = findLink(inPod, ifname)
    if (pod !== undefined) return { host: { name, mac }, pod }
    throw new CniError(Code.internal, `veth pair ${name} was removed as soon as it was made`)
  } catch (error) {
    ignoreMissing(() => onHost.request(removeLink(name)))
    throw error
  }
}

/** Tries names like the stock plugin's until one is free. */
function create(
  onHost: NetlinkSocket,
  inPod: NetlinkSocket,
  ifname: string,
  link: (name: string) => Parameters<typeof createLink>[0],
): string {
  for (let tries = 1; ; tries++) {
    const name = `veth${Math.floor(Math.random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0')}`
    try {
      onHost.request(createLink(link(name)))
      return name
    } catch (error) {
      if (!isExists(error) || tries === 10) throw error
      if (findLink(inPod, ifname) !== undefined)
        throw new CniError(Code.internal, `container veth name provided (${ifname}) already exists`)
    }
  }
}

/** Addresses, up, routes. Going up with its address set, the link announces it: neighbours forget who had it before. */
export function configurePod(
  inPod: NetlinkSocket,
  namespace: Namespace,
  link: LinkInfo,
  given: readonly Given[],
  routes: readonly Route[],
): void {
  namespace.run(() =>
    prepareSysctls(
      link.name,
      given.some(({ ip }) => !isIPv4(ip)),
    ),
  )
  const addresses = given.map(({ ip, length }) =>
    putAddress({ linkIndex: link.index, ip, length, ...(isIPv4(ip) ? {} : { flags: IFA_F.noDad }) }),
  )
  const ways = routes.map((route) => {
    const via = route.gw ?? given.find(({ ip }) => familyOf(ip) === familyOfPrefix(route.dst))?.gateway
    return addRoute({
      to: route.dst,
      linkIndex: link.index,
      protocol: PROTOCOL.boot,
      ...(via === undefined ? {} : { via }),
      ...(route.priority === undefined ? {} : { metric: route.priority }),
      ...(route.table === undefined ? {} : { table: route.table }),
    })
  })
  const errors = inPod.batch([...addresses, changeLink(link.index, { up: true }), ...ways])
  for (const [index, error] of errors.entries()) {
    // A route given twice, or one that the address brought along, is there already.
    if (index > addresses.length && isExists(error)) continue
    if (error !== undefined) throw error
  }
}

/** Inside the pod's namespace. */
function prepareSysctls(ifname: string, ipv6: boolean): void {
  setIfThere(`net/ipv4/conf/${ifname}/arp_notify`, 1)
  setIfThere(`net/ipv6/conf/${ifname}/accept_dad`, 0)
  if (!ipv6) return
  enableIpv6('lo', ifname)
  // IPv6 addresses go with a link that is set down, unless told otherwise.
  setIfThere(`net/ipv6/conf/${ifname}/keep_addr_on_down`, 1)
}
