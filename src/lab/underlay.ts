// What stands in for the wires between hosts: a bridge that hosts, store and router are plugged into, and beyond the
// router an outside that knows no way back to pods. All of it in namespaces of the lab's own.
import type { IPv4 } from '../model/ip.ts'
import { lengthOf, parsePrefix, type Prefix } from '../model/prefix.ts'
import { putAddress } from '../netlink/address.ts'
import { isMissing } from '../netlink/error.ts'
import { changeLink, createLink, getLink, parseLink } from '../netlink/link.ts'
import { PROTOCOL, putRoute } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'
import { writeSysctl } from '../sys/sysctl.ts'
import { LabError, reasonOf } from './error.ts'
import type { LabNamespaces } from './namespaces.ts'
import type { LabPlan } from './plan.ts'

const BRIDGE = 'br0'
const EVERYWHERE = parsePrefix('0.0.0.0/0')

/** A namespace plugged in: its name, its address, and where its packets for elsewhere go. */
interface Member {
  readonly name: string
  readonly ip: IPv4
  readonly gateway: IPv4 | undefined
}

/** Makes what is missing of it; the namespaces must be there. */
export function connectUnderlay(plan: LabPlan, namespaces: LabNamespaces): void {
  const underlay = namespaces.get('underlay')
  using socket = NetlinkSocket.open('route', underlay)
  const bridge = linkIndex(socket, BRIDGE) ?? makeBridge(socket)
  give(socket, bridge, plan.router, plan.underlay)
  const members: Member[] = [
    { name: 'store', ip: plan.store.address, gateway: undefined },
    ...plan.hosts.map((host) => ({ name: host.name, ip: host.underlay, gateway: plan.router })),
  ]
  for (const member of members) {
    const inside = namespaces.get(member.name)
    plugIn(socket, member.name, inside, bridge)
    settle(inside, member, plan.underlay)
  }
  plugIn(socket, 'outside', namespaces.get('outside'), undefined)
  const out = linkIndex(socket, 'outside')
  if (out === undefined) throw new LabError('failed', 'the link to the outside is gone already; try again')
  give(socket, out, plan.outside.router, plan.outside.prefix)
  settle(
    namespaces.get('outside'),
    { name: 'outside', ip: plan.outside.address, gateway: undefined },
    plan.outside.prefix,
    { to: plan.underlay, via: plan.outside.router },
  )
  for (const name of ['underlay', ...plan.hosts.map((host) => host.name)]) forward(namespaces.get(name), name)
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

/** An address of the underlay on a link, and the link up. */
function give(socket: NetlinkSocket, index: number, ip: IPv4, prefix: Prefix): void {
  socket.request(putAddress({ linkIndex: index, ip, length: lengthOf(prefix) }))
  socket.request(changeLink(index, { up: true }))
}

function settle(
  inside: Namespace,
  member: Member,
  prefix: Prefix,
  further?: { readonly to: Prefix; readonly via: IPv4 },
): void {
  using socket = NetlinkSocket.open('route', inside)
  socket.request(changeLink('lo', { up: true }))
  const eth0 = linkIndex(socket, 'eth0')
  if (eth0 === undefined)
    throw new LabError(
      'failed',
      `${member.name} has lost its eth0: \`heddle lab down\`, then up, makes the lab anew`,
    )
  give(socket, eth0, member.ip, prefix)
  const routes = [
    ...(member.gateway === undefined || EVERYWHERE === undefined
      ? []
      : [{ to: EVERYWHERE, via: member.gateway }]),
    ...(further === undefined ? [] : [further]),
  ]
  for (const route of routes) socket.request(putRoute({ ...route, protocol: PROTOCOL.static }))
}

function forward(namespace: Namespace, name: string): void {
  try {
    writeSysctl('net/ipv4/ip_forward', 1, namespace)
  } catch (error) {
    throw new LabError(
      'refused',
      `${name} can't be told to forward packets (${reasonOf(error)}); is /proc/sys read-only here?`,
      { cause: error },
    )
  }
}
