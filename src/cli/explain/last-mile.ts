// From a link that a packet leaves by to who gets it there: the link itself, the gateway's or receiver's neighbour
// entry, and the port of a bridge.
import type { Ip } from '../../model/ip.ts'
import { IF_OPER, type LinkInfo } from '../../netlink/link.ts'
import { NUD } from '../../netlink/neighbour.ts'
import { there, type Hop } from './hop.ts'
import { stateText, type KernelView } from './view.ts'
import { linkText } from './words.ts'

/** IFF_NOARP of net/if.h; ARPHRD_ETHER of linux/if_arp.h. */
const IFF_NOARP = 0x80
const ARPHRD_ETHER = 1

export const nameIn =
  (view: KernelView) =>
  (index: number | undefined): string =>
    view.link(index)?.name ?? `link ${index}`

/** The link, or what keeps packets from leaving by it. */
export function linkHop(view: KernelView, link: LinkInfo, layer: Hop['layer'], note?: string): Hop {
  const object = linkText(link, nameIn(view))
  if (!link.up)
    return {
      layer,
      kind: 'link',
      state: 'wrong',
      object,
      note: `${link.name} is down`,
      advice: `ip link set ${link.name} up`,
    }
  if (link.operState === IF_OPER.down || link.operState === IF_OPER.lowerLayerDown)
    return {
      layer,
      kind: 'link',
      state: 'wrong',
      object,
      note: `${link.name} has no carrier`,
      advice: `look at what ${link.name} is connected to, and whether its other end is up`,
    }
  return there(layer, 'link', object, note)
}

/** On an ordinary link, where the kernel asks for addresses when packets go. */
export function* onSegment(view: KernelView, link: LinkInfo, ip: Ip, layer: Hop['layer']): Generator<Hop> {
  if (link.hardwareType !== ARPHRD_ETHER || (link.flags & IFF_NOARP) !== 0) return
  const entry = view.neighbour(link.index, ip)
  const who = `${ip} dev ${link.name}`
  if (entry !== undefined && (entry.state & NUD.failed) !== 0)
    yield {
      layer,
      kind: 'neighbour',
      state: 'missing',
      object: `${who} FAILED`,
      note: `nobody answered on ${link.name} when ${ip} was asked for`,
      advice:
        layer === 'outer'
          ? `see whether that host is up and on this segment: ping ${ip}`
          : `see whether ${ip} is up: ping ${ip}; a pod that is gone keeps no address`,
    }
  else if (entry !== undefined && (entry.state & NUD.incomplete) !== 0)
    yield {
      layer,
      kind: 'neighbour',
      state: 'unknown',
      object: `${who} INCOMPLETE`,
      note: `${ip} is being asked for now, and has not answered yet`,
    }
  else if (entry?.mac === undefined)
    yield {
      layer,
      kind: 'neighbour',
      state: 'open',
      object: who,
      note: 'not asked for yet; the kernel does so when a packet goes',
    }
  else {
    yield there(layer, 'neighbour', `${who} lladdr ${entry.mac} ${stateText(entry.state)}`)
    if (link.type === 'bridge') yield* behindBridge(view, link, entry.mac, layer)
  }
}

function* behindBridge(
  view: KernelView,
  bridge: LinkInfo,
  mac: NonNullable<LinkInfo['mac']>,
  layer: Hop['layer'],
): Generator<Hop> {
  const found = view.port(bridge.index, mac)
  const port = view.link(found?.linkIndex)
  if (port === undefined)
    yield {
      layer,
      kind: 'fdb',
      state: 'open',
      object: `${mac} master ${bridge.name}`,
      note: 'not learned; the bridge sends it out of all its ports',
    }
  else {
    yield there(layer, 'fdb', `${mac} dev ${port.name} master ${bridge.name}`)
    yield linkHop(view, port, layer)
  }
}
