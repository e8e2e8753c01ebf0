// CHECK of a pod on the built-in bridge: each thing that ADD made, against the kernel.
import type { Ip } from '../../model/ip.ts'
import { IFA_F, listAddresses, parseAddress } from '../../netlink/address.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import { dumpRoutes } from '../../netlink/route-info.ts'
import { TABLE } from '../../netlink/route.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { familyOfPrefix } from '../../model/prefix.ts'
import type { Call } from '../call.ts'
import { Code, CniError } from '../error.ts'
import { addressesHeld } from '../ipam/host-local.ts'
import type { JsonObject } from '../json.ts'
import type { PreviousResult } from '../prev-result.ts'
import { findLink } from './bridge.ts'
import { parseBridgeConfig } from './config.ts'
import { openPod } from './plugin.ts'

/** Throws CniError about the first thing that is not as it was made. */
export function checkOnBridge(call: Call, config: JsonObject, previous: PreviousResult): void {
  using namespace = openPod(call.netns)
  using onHost = NetlinkSocket.open('route')
  using inPod = NetlinkSocket.open('route', namespace)
  const wanted = parseBridgeConfig(config, call.args)
  const own = ipsOf(previous, call.ifname)
  const link = checkLink(findLink(inPod, call.ifname), `${call.ifname} in the pod`)
  const { mac } = previous.interfaces.find((one) => one.isInPod && one.name === call.ifname) ?? {}
  if (mac !== undefined && link.mac !== mac)
    broken(`${call.ifname} in the pod has the MAC ${link.mac}, not ${mac}`)
  const bridge = checkLink(findLink(onHost, wanted.bridge), `bridge ${wanted.bridge}`)
  const port = checkLink(
    link.below === undefined ? undefined : findLink(onHost, link.below),
    `the host's end of ${call.ifname}`,
  )
  if (port.master !== bridge.index) broken(`${port.name} is not on ${wanted.bridge}`)
  checkAddresses(inPod, link, own)
  if (wanted.isGateway)
    checkAddresses(
      onHost,
      bridge,
      own.flatMap(({ gateway, length }) => (gateway === undefined ? [] : [{ ip: gateway, length }])),
    )
  checkRoutes(inPod, link, previous)
  const held = addressesHeld(config, call)
  for (const { ip } of own)
    if (!held.has(ip)) broken(`${ip} is not reserved for container ${call.containerId}`)
}

/** The addresses of one interface of the pod; those that name none are the pod's only interface's. */
const ipsOf = ({ ips, interfaces }: PreviousResult, ifname: string): PreviousResult['ips'] =>
  ips.filter(
    (one) =>
      one.interface === undefined ||
      (interfaces[one.interface]?.isInPod === true && interfaces[one.interface]?.name === ifname),
  )

const checkLink = (link: LinkInfo | undefined, name: string): LinkInfo =>
  link === undefined ? broken(`${name} is gone`) : link.up ? link : broken(`${name} is down`)

function checkAddresses(
  socket: NetlinkSocket,
  link: LinkInfo,
  wanted: readonly { readonly ip: Ip; readonly length: number }[],
): void {
  const there = socket
    .dump(listAddresses({ linkIndex: link.index }), (reply) => parseAddress(reply.body))
    .filter((address) => address.linkIndex === link.index)
  for (const { ip, length } of wanted) {
    const found = there.find((address) => address.ip === ip && address.length === length)
    if (found === undefined) return broken(`${link.name} has lost its address ${ip}/${length}`)
    if ((found.flags & (IFA_F.tentative | IFA_F.dadFailed)) !== 0)
      broken(`another link has the address ${ip} of ${link.name} too, or may have it`)
  }
}

function checkRoutes(inPod: NetlinkSocket, link: LinkInfo, { routes }: PreviousResult): void {
  for (const { dst, gw, table } of routes) {
    const there = dumpRoutes(inPod, {
      family: familyOfPrefix(dst),
      table: table ?? TABLE.main,
      type: 'unicast',
    })
    if (
      !there.some(
        (one) => one.to === dst && one.linkIndex === link.index && (gw === undefined || one.via === gw),
      )
    )
      broken(`the pod has lost its route to ${dst}${gw === undefined ? '' : ` via ${gw}`}`)
  }
}

const broken = (message: string): never => {
  throw new CniError(Code.broken, message, 'the runtime should make this pod anew')
}
