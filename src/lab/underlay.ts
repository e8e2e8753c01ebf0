// What stands in for the wires between hosts: a bridge that hosts, store and router are plugged into, and beyond the
// router an outside that knows no way back to pods. All of it in namespaces of the lab's own.
import { containsIp, lengthOf, prefixOf, type Prefix } from '../model/prefix.ts'
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import { IFA_F, putAddress } from '../netlink/address.ts'
import { isMissing } from '../netlink/error.ts'
import { changeLink, createLink, getLink, parseLink } from '../netlink/link.ts'
import { PROTOCOL, putRoute } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'
import { readSysctl, writeSysctl } from '../sys/sysctl.ts'
import { LabError, reasonOf } from './error.ts'
import type { LabNamespaces } from './namespaces.ts'
import type { LabPlan } from './plan.ts'

const BRIDGE = 'br0'

/** What a link has of one family. */
interface Place {
  readonly ip: Ip
  readonly prefix: Prefix
}
/** A namespace plugged in: its name, its addresses, and where its packets for elsewhere go. */
interface Member {
  readonly name: string
  readonly places: readonly Place[]
  readonly routes: readonly { readonly to: Prefix; readonly via: Ip }[]
}

/** Makes what is missing of it; the namespaces must be there. */
export function connectUnderlay(plan: LabPlan, namespaces: LabNamespaces): void {
  const { stacks, hosts } = plan
  const forwarding = ['underlay', ...hosts.map((host) => host.name)]
  // Before there are links: theirs are copies.
  for (const { family } of stacks)
    for (const name of [...forwarding, 'store', 'outside'])
      prepare(family, namespaces.get(name), name, forwarding.includes(name))
  const underlay = namespaces.get('underlay')
  using socket = NetlinkSocket.open('route', underlay)
  const bridge = linkIndex(socket, BRIDGE) ?? makeBridge(socket)
  for (const stack of stacks) give(socket, bridge, { ip: stack.router, prefix: stack.underlay })
  const members: Member[] = [
    { name: 'store', places: stacks.map((one) => ({ ip: one.store, prefix: one.underlay })), routes: [] },
    ...hosts.map(({ name, addresses }) => ({
      name,
      places: stacks.flatMap(({ underlay: prefix }) =>
        addresses.filter((ip) => containsIp(prefix, ip)).map((ip) => ({ ip, prefix })),
      ),
      routes: stacks.map((one) => ({ to: prefixOf(one.router, 0), via: one.router })),
    })),
  ]
  for (const member of members) {
    const inside = namespaces.get(member.name)
    plugIn(socket, member.name, inside, bridge)
    settle(inside, member)
  }
  plugIn(socket, 'outside', namespaces.get('outside'), undefined)
  const out = linkIndex(socket, 'outside')
  if (out === undefined) throw new LabError('failed', 'the link to the outside is gone already; try again')
  for (const { outside } of stacks) give(socket, out, { ip: outside.router, prefix: outside.prefix })
  settle(namespaces.get('outside'), {
    name: 'outside',
    places: stacks.map(({ outside }) => ({ ip: outside.address, prefix: outside.prefix })),
    routes: stacks.map((one) => ({ to: one.underlay, via: one.outside.router })),
  })
}

export function linkIndex(socket: NetlinkSocket, name: string): number | undefined {
  try {
    const [reply] = socket.request(getLink(name))
    return reply && parseLink(reply.body).index
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function makeBridge(socket: NetlinkSocket): number {
  socket.request(createLink({ name: BRIDGE, kind: { type: 'bridge' } }))
  const index = linkIndex(socket, BRIDGE)
  if (index === undefined) throw new LabError('failed', 'the underlay bridge is gone already; try again')
  return index
}

/** A veth pair from the underlay, where its end has the member's name, to eth0 of the member. */
function plugIn(socket: NetlinkSocket, name: string, inside: Namespace, bridge: number | undefined): void {
  if (linkIndex(socket, name) !== undefined) return
  socket.request(
    createLink({
      name,
      kind: { type: 'veth', peer: { name: 'eth0', namespace: { fd: inside.fd } } },
      ...(bridge === undefined ? {} : { master: bridge }),
    }),
  )
  socket.request(changeLink(name, { up: true }))
}

/** An address on a link, and the link up. Who has which address is planned: nobody needs to ask for a second. */
function give(socket: NetlinkSocket, index: number, { ip, prefix }: Place): void {
  const flags = familyOf(ip) === 'ipv6' ? { flags: IFA_F.noDad } : {}
  socket.request(putAddress({ linkIndex: index, ip, length: lengthOf(prefix), ...flags }))
  socket.request(changeLink(index, { up: true }))
}

function settle(inside: Namespace, member: Member): void {
  using socket = NetlinkSocket.open('route', inside)
  socket.request(changeLink('lo', { up: true }))
  const eth0 = linkIndex(socket, 'eth0')
  if (eth0 === undefined)
    throw new LabError(
      'failed',
      `${member.name} has lost its eth0: \`heddle lab down\`, then up, makes the lab anew`,
    )
  for (const place of member.places) give(socket, eth0, place)
  for (const route of member.routes)
    socket.request(putRoute({ ...route, linkIndex: eth0, protocol: PROTOCOL.static }))
}

/** Settings that links to come take over, and forwarding where it is wanted. */
function prepare(family: Family, namespace: Namespace, name: string, forward: boolean): void {
  const settings =
    family === 'ipv4'
      ? { 'net/ipv4/ip_forward': forward ? 1 : undefined }
      : {
          'net/ipv6/conf/all/disable_ipv6': 0,
          'net/ipv6/conf/default/disable_ipv6': 0,
          // A router that has to ask for a neighbour needs a link-local address that serves at once.
          'net/ipv6/conf/default/accept_dad': 0,
          'net/ipv6/conf/default/accept_ra': 0,
          'net/ipv6/conf/all/forwarding': forward ? 1 : undefined,
        }
  try {
    for (const [setting, value] of Object.entries(settings))
      if (value !== undefined && readSysctl(setting, namespace) !== `${value}`)
        writeSysctl(setting, value, namespace)
  } catch (error) {
    throw new LabError(
      'refused',
      `${name} can't be told to ${forward ? 'forward packets' : `have ${family}`} (${reasonOf(error)}); is /proc/sys read-only here?`,
      { cause: error },
    )
  }
}
