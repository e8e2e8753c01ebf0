// What an ADD waits for before it says that a pod is there: links that carry packets, addresses that may be used.
import { IFA_F, listAddresses, parseAddress } from '../../netlink/address.ts'
import { IF_OPER, type LinkRef } from '../../netlink/link.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { Code, CniError } from '../error.ts'
import { findLink } from './bridge.ts'

const PATIENCE_MS = 5_000
const MOST_PAUSE_MS = 50

/**
 * Until a link carries packets: a bridge forwards for a port, and has its link-local address, only once it has heard that
 * the port's other end is up, which may be a moment later. False if it doesn't within 5 s. Throws CniError once it is gone.
 */
export const untilUp = (socket: NetlinkSocket, link: LinkRef): boolean =>
  until(() => {
    const found = findLink(socket, link)
    if (found === undefined) throw new CniError(Code.tryAgainLater, `link ${link} is gone already`)
    return found.operState === IF_OPER.up
  })

/** Until no IPv6 address of the link is tentative: the kernel takes a moment even where it asks nobody. */
export const untilSettled = (socket: NetlinkSocket, linkIndex: number): boolean =>
  until(() =>
    socket
      .dump(listAddresses({ family: 'ipv6', linkIndex }), (reply) => parseAddress(reply.body))
      .every((a) => a.linkIndex !== linkIndex || !isTentative(a.flags)),
  )

const isTentative = (flags: number): boolean =>
  (flags & IFA_F.tentative) !== 0 && (flags & IFA_F.dadFailed) === 0

function until(isSo: () => boolean): boolean {
  const end = performance.now() + PATIENCE_MS
  for (let pauseMs = 1; !isSo(); pauseMs = Math.min(2 * pauseMs, MOST_PAUSE_MS)) {
    if (performance.now() > end) return false
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs)
  }
  return true
}
