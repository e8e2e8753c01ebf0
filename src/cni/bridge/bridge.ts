// The host's side: the bridge that pods hang on, its gateway addresses, and forwarding.
import { familyOf, type Ip } from '../../model/ip.ts'
import { containsIp, lengthOf, prefixOf } from '../../model/prefix.ts'
import { localMac, type Mac } from '../../model/mac.ts'
import {
  IFA_F,
  listAddresses,
  parseAddress,
  putAddress,
  removeAddress,
  SCOPE,
  type AddressMessage,
} from '../../netlink/address.ts'
import { ignoreExists, isMissing } from '../../netlink/error.ts'
import {
  changeLink,
  createLink,
  getLink,
  listLinks,
  parseLink,
  type LinkInfo,
  type LinkRef,
} from '../../netlink/link.ts'
import { dumpRoutes } from '../../netlink/route-info.ts'
import { PROTOCOL } from '../../netlink/route.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { readSysctl, readSysctlIfThere, writeSysctl } from '../../sys/sysctl.ts'
import { Code, CniError, messageOf } from '../error.ts'

/** A link by name or index, or undefined. */
export function findLink(socket: NetlinkSocket, link: LinkRef): LinkInfo | undefined {
  try {
    const [reply] = socket.request(getLink(link))
    return reply && parseLink(reply.body)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Set at birth: a MAC that the kernel or udev picked changes with the bridge's ports. */
export const randomMac = (): Mac => localMac(Uint8Array.from({ length: 6 }, () => Math.random() * 256))

/** The bridge of this name, up; made if it isn't there. Others may be making it at the same time. */
export function ensureBridge(socket: NetlinkSocket, name: string, mtuBytes: number | undefined): LinkInfo {
  const found = findLink(socket, name) ?? makeBridge(socket, name, mtuBytes)
  if (found.type !== 'bridge')
    throw new CniError(
      Code.internal,
      `${JSON.stringify(name)} already exists but is not a bridge`,
      'remove that link, or give the delegate another "bridge" name',
    )
  if (!found.up) socket.request(changeLink(found.index, { up: true }))
  return found
}

function makeBridge(socket: NetlinkSocket, name: string, mtuBytes: number | undefined): LinkInfo {
  const link = { name, mac: randomMac(), up: true, ...(mtuBytes === undefined ? {} : { mtuBytes }) }
  ignoreExists(() => socket.request(createLink({ ...link, kind: { type: 'bridge' } })))
  const made = findLink(socket, name)
  if (made === undefined)
    throw new CniError(Code.internal, `bridge ${name} was removed as soon as it was made`)
  setIfThere(`net/ipv6/conf/${name}/accept_ra`, 0)
  // The link-local address comes with the first pod; while it is tentative nobody is asked for by neighbour discovery,
  // and what is forwarded to pods is lost.
  setIfThere(`net/ipv6/conf/${name}/accept_dad`, 0)
  return made
}

export interface Gateway {
  readonly ip: Ip
  readonly length: number
}

/** Gives the bridge the gateway's address, and lets the host forward. */
export function ensureGateway(
  socket: NetlinkSocket,
  bridge: LinkInfo,
  gateway: Gateway,
  force: boolean,
): void {
  const { ip, length } = gateway
  const family = familyOf(ip)
  const there = addressesOf(socket, bridge.index).filter((address) => familyOf(address.ip) === family)
  if (!there.some((address) => address.ip === ip && address.length === length)) {
    const others = there.filter((other) => family === 'ipv4' || other.scope !== SCOPE.link)
    const serves = others.length > 0 && hasPorts(socket, bridge)
    // A bridge without ports serves nobody: the address of a subnet that this host had before may go. IPv6 may have
    // several.
    for (const address of others.filter((a) => !serves || family === 'ipv4' || isClash(a, gateway))) {
      if (!force && serves) throw otherAddress(bridge.name, address, gateway)
      socket.request(removeAddress({ linkIndex: bridge.index, ip: address.ip, length: address.length }))
    }
    if (family === 'ipv6') {
      enableIpv6(bridge.name)
      setIfThere(`net/ipv6/conf/${bridge.name}/keep_addr_on_down`, 1)
    }
    // The subnet is this host's alone: nobody else can have the gateway's address.
    const flags = family === 'ipv6' ? { flags: IFA_F.noDad } : {}
    socket.request(putAddress({ linkIndex: bridge.index, ip, length, ...flags }))
    // Setting it, even to what it is, keeps the bridge from taking a port's MAC one day.
    if (bridge.mac !== undefined) socket.request(changeLink(bridge.index, { mac: bridge.mac }))
  }
  if (family === 'ipv4') enable('net/ipv4/ip_forward')
  else if (readSysctl('net/ipv6/conf/all/forwarding') === '0') {
    keepAdvertisedRoutes(socket)
    enable('net/ipv6/conf/all/forwarding')
  }
}

/** A host that forwards hears no router advertisements and loses the default route it has by them, unless told otherwise. */
function keepAdvertisedRoutes(socket: NetlinkSocket): void {
  for (const { to, protocol, linkIndex } of dumpRoutes(socket, { family: 'ipv6', type: 'unicast' })) {
    if (lengthOf(to) > 0 || protocol !== PROTOCOL.ra || linkIndex === undefined) continue
    const setting = `net/ipv6/conf/${findLink(socket, linkIndex)?.name}/accept_ra`
    // 0 where somebody else than the kernel hears them.
    if (readSysctlIfThere(setting) === '1') setIfThere(setting, 2)
  }
}

const addressesOf = (socket: NetlinkSocket, linkIndex: number): Required<AddressMessage>[] =>
  socket
    .dump(listAddresses({ linkIndex }), (reply) => parseAddress(reply.body))
    .filter((address) => address.linkIndex === linkIndex)

const isClash = (a: Gateway, b: Gateway): boolean =>
  containsIp(prefixOf(a.ip, a.length), b.ip) || containsIp(prefixOf(b.ip, b.length), a.ip)

const hasPorts = (socket: NetlinkSocket, bridge: LinkInfo): boolean =>
  socket.dump(listLinks(), (reply) => parseLink(reply.body)).some(({ master }) => master === bridge.index)

const otherAddress = (bridge: string, have: Gateway, want: Gateway): CniError =>
  new CniError(
    Code.internal,
    `failed to set bridge addr: ${JSON.stringify(bridge)} already has an IP address different from ${want.ip}/${want.length}`,
    `it has ${have.ip}/${have.length}, and pods on it. If this host has got another subnet, restart those pods and run ` +
      `'ip addr del ${have.ip}/${have.length} dev ${bridge}', or set "forceAddress": true in the delegate`,
  )

/** Lets links have IPv6 addresses, of the namespace this thread is in. */
export function enableIpv6(...links: readonly string[]): void {
  for (const link of links) {
    const name = `net/ipv6/conf/${link}/disable_ipv6`
    try {
      if (readSysctl(name) !== '0') writeSysctl(name, 0)
    } catch (cause) {
      throw new CniError(
        Code.internal,
        `failed to enable IPv6 on ${link}: ${messageOf(cause)}`,
        `subnet.env has an IPv6 subnet: the kernel must have IPv6, and ${name.replaceAll('/', '.')} be 0`,
        cause,
      )
    }
  }
}

/** Reads first: /proc/sys may be read-only where somebody else has seen to it. */
function enable(name: string): void {
  if (readSysctl(name) !== '0') return
  try {
    writeSysctl(name, 1)
  } catch (cause) {
    throw new CniError(
      Code.internal,
      `failed to enable forwarding: ${messageOf(cause)}`,
      `without it no packet leaves this host's pods: set ${name.replaceAll('/', '.')} to 1 on the host`,
      cause,
    )
  }
}

/** Sets it where the kernel has such a setting (IPv6 may be off). */
export function setIfThere(name: string, value: number): void {
  try {
    writeSysctl(name, value)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOENT' && code !== 'EROFS' && code !== 'EACCES') throw error
  }
}
