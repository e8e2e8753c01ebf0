// Opens netlink sockets as all of heddle's are: big buffers, extended acks, strict checking, bound.
import { allocate } from '../sys/arena.ts'
import { bind, close, isSysError, setsockopt, setsockoptInt, socket } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const PROTOCOLS = { route: 0, netfilter: 12, generic: 16 } as const
export type Protocol = keyof typeof PROTOCOLS

/** Options of socket(7) and netlink(7). */
export const SOL_SOCKET = 1
export const SO = { sendBuffer: 7, receiveBuffer: 8, attachFilter: 26 } as const
const SO_RCVTIMEO = 20
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
export const SOL_NETLINK = 270
export const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12

/** How long a reply may take before its outcome counts as unknown. The kernel answers within send(): never, in practice. */
export const TIMEOUT_SECONDS = 10

/** A bound socket in `namespace` for good, else in this thread's. The caller closes it. */
export function openNetlink(
  protocol: Protocol,
  namespace: Namespace | undefined,
  receiveBytes: number,
): number {
  const make = () => socket(AF_NETLINK, SOCK_RAW, PROTOCOLS[protocol])
  const fd = namespace === undefined ? make() : namespace.run(make)
  try {
    setBuffer(fd, SO_SNDBUFFORCE, SO.sendBuffer, SEND_BYTES)
    setBuffer(fd, SO_RCVBUFFORCE, SO.receiveBuffer, receiveBytes)
    prepare(fd)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

const SEND_BYTES = 4 << 20

function prepare(fd: number): void {
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK])
    try {
      setsockoptInt(fd, SOL_NETLINK, option, 1)
    } catch (error) {
      // Kernels before 4.12 (5.0 for strict checking) lack it; we then get less text, and filter dumps ourselves.
      if (!isSysError(error, 'ENOPROTOOPT')) throw error
    }
  using timeout = allocate(16)
  timeout.view.setBigInt64(0, BigInt(TIMEOUT_SECONDS), true)
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout.address, 16)
  using own = allocate(12)
  own.view.setUint16(0, AF_NETLINK, true)
  bind(fd, own.address, 12)
}

/** Past the system's limit where we may (CAP_NET_ADMIN), else up to it. */
function setBuffer(fd: number, force: number, plain: number, bytes: number): void {
  try {
    setsockoptInt(fd, SOL_SOCKET, force, bytes)
  } catch (error) {
    if (!isSysError(error, 'EPERM')) throw error
    setsockoptInt(fd, SOL_SOCKET, plain, bytes)
  }
}
