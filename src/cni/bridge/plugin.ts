// The bridge plugin in this process: ADD and DEL of one pod's interface.
import { statSync } from 'node:fs'

import { isIPv4 } from '../../model/ip.ts'
import { prefixOf, type Prefix } from '../../model/prefix.ts'
import { ignoreMissing } from '../../netlink/error.ts'
import { removeLink } from '../../netlink/link.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { isSysError } from '../../sys/errno.ts'
import { Namespace } from '../../sys/namespace.ts'
import type { Call } from '../call.ts'
import { Code, CniError, messageOf } from '../error.ts'
import { give, takeBack, type Given } from '../ipam/host-local.ts'
import type { JsonObject } from '../json.ts'
import type { Result, Route } from '../result.ts'
import { ensureBridge, ensureGateway } from './bridge.ts'
import { parseBridgeConfig, type BridgeConfig } from './config.ts'
import { configurePod, makePair } from './pod-link.ts'
import { untilSettled, untilUp } from './wait.ts'

/** All of it or nothing: what a failed ADD had made is gone when it throws. */
export function addToBridge(call: Call, config: JsonObject): Result {
  const wanted = parseBridgeConfig(config, call.args)
  using namespace = openPod(call.netns)
  using onHost = NetlinkSocket.open('route')
  using inPod = NetlinkSocket.open('route', namespace)
  using undo = new DisposableStack()
  const bridge = ensureBridge(onHost, wanted.bridge, wanted.mtuBytes)
  const given = give(config, call)
  undo.defer(() => takeBack(config, call))
  if (wanted.isGateway)
    for (const { gateway, length } of given)
      ensureGateway(onHost, bridge, { ip: gateway, length }, wanted.forceAddress)
  const pair = makePair(onHost, inPod, namespace, { ...wanted, bridge, ifname: call.ifname })
  undo.defer(() => ignoreMissing(() => onHost.request(removeLink(pair.host.name))))
  const routes = [...wanted.routes, ...defaultRoutes(wanted, given)]
  configurePod(inPod, namespace, pair.pod, given, routes)
  if (!untilUp(onHost, pair.host.name))
    throw new CniError(Code.tryAgainLater, `bridge port ${pair.host.name} does not come up`)
  // A bridge with a spanning tree of its own may take longer than anybody waits.
  if (untilUp(onHost, bridge.index) && given.some(({ ip }) => !isIPv4(ip))) {
    untilSettled(onHost, bridge.index)
    untilSettled(inPod, pair.pod.index)
  }
  undo.move()
  const { name, mac, mtuBytes } = bridge
  return {
    interfaces: [
      { name, mac, mtuBytes, sandbox: undefined },
      { ...pair.host, mtuBytes: pair.pod.mtuBytes, sandbox: undefined },
      { name: call.ifname, mac: pair.pod.mac, mtuBytes: pair.pod.mtuBytes, sandbox: call.netns },
    ],
    ips: given.map((address) => ({ ...address, interface: 2 })),
    routes,
    dns: wanted.dns,
  }
}

/** One a family, unless the network's routes have one with a gateway. */
function defaultRoutes(wanted: BridgeConfig, given: readonly Given[]): Route[] {
  if (!wanted.isDefaultGateway) return []
  return given
    .map(({ ip, gateway }) => ({ dst: prefixOf(ip, 0), gw: gateway }))
    .filter(
      ({ dst }, index, all) => index === all.findIndex((route) => route.dst === dst) && !has(wanted, dst),
    )
}
const has = ({ routes }: BridgeConfig, dst: Prefix): boolean =>
  routes.some((route) => route.dst === dst && route.gw !== undefined)

/** Nothing happens to what is gone already; a pod whose namespace has gone took its interface along. */
export function removeFromBridge(call: Call, config: JsonObject): void {
  if (call.netns !== '' && statSync(call.netns, { throwIfNoEntry: false }) !== undefined)
    removePodLink(call.netns, call.ifname)
  takeBack(config, call)
}

function removePodLink(path: string, ifname: string): void {
  using namespace = Namespace.open(path)
  let inPod: NetlinkSocket
  try {
    inPod = NetlinkSocket.open('route', namespace)
  } catch (error) {
    // The file that a namespace was bound to outlives it.
    if (isSysError(error, 'EINVAL')) return
    throw error
  }
  using socket = inPod
  ignoreMissing(() => socket.request(removeLink(ifname)))
}

export function openPod(path: string): Namespace {
  try {
    return Namespace.open(path)
  } catch (cause) {
    throw new CniError(
      Code.badNamespace,
      `failed to open netns ${JSON.stringify(path)}: ${messageOf(cause)}`,
      'the pod is gone, or CNI_NETNS names something else',
      cause,
    )
  }
}
