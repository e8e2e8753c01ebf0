// Sends probes on the underlay: raw packets with their IP header, as large as the interface takes whatever the kernel
// has learned of the path. Nothing is received here.
import { familyOf, ipToBytes, type Family, type Ip } from '../model/ip.ts'
import { allocate, type Block } from '../sys/arena.ts'
import { close, isSysError, MSG, sendto, setsockoptInt, socket } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'

const AF = { ipv4: 2, ipv6: 10 } as const
const SOCK_RAW = 3
/** Hears nothing, and its packets begin with their IP header (raw(7)). */
const IPPROTO_RAW = 255
/** IP_MTU_DISCOVER and IPV6_MTU_DISCOVER at their levels; _PMTUDISC_PROBE of both: the path's MTU isn't heeded. */
const MTU_DISCOVER = { ipv4: { level: 0, option: 10 }, ipv6: { level: 41, option: 23 } } as const
const PMTUDISC_PROBE = 3
/** sockaddr_in, sockaddr_in6: how many bytes, and where the address begins. */
const SOCKADDR = { ipv4: { bytes: 16, at: 4 }, ipv6: { bytes: 28, at: 8 } } as const
/** An IP packet's most. */
const MOST_BYTES = 0xffff

export class ProbeSender implements Disposable {
  readonly #namespace: Namespace | undefined
  readonly #sockets = new Map<Family, number>()
  readonly #packet: Block = allocate(MOST_BYTES)
  readonly #address: Block = allocate(SOCKADDR.ipv6.bytes)

  /** In this thread's namespace unless another is given. */
  constructor(namespace?: Namespace) {
    this.#namespace = namespace
  }

  /** What `write` puts into the buffer goes to `remote`; not at all where the kernel refuses it: no answer will come. */
  send(remote: Ip, write: (into: Uint8Array) => Uint8Array): void {
    const family = familyOf(remote)
    const { bytes, at } = SOCKADDR[family]
    this.#address.bytes.fill(0)
    this.#address.view.setUint16(0, AF[family], true)
    this.#address.bytes.set(ipToBytes(remote), at)
    const { length } = write(this.#packet.bytes)
    const to = { address: this.#address.address, bytes }
    try {
      sendto(this.#socketOf(family), this.#packet.address, length, MSG.dontWait, to)
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
  }

  #socketOf(family: Family): number {
    const open = this.#sockets.get(family)
    if (open !== undefined) return open
    const make = () => socket(AF[family], SOCK_RAW, IPPROTO_RAW)
    const fd = this.#namespace === undefined ? make() : this.#namespace.run(make)
    this.#sockets.set(family, fd)
    const { level, option } = MTU_DISCOVER[family]
    setsockoptInt(fd, level, option, PMTUDISC_PROBE)
    return fd
  }

  [Symbol.dispose](): void {
    for (const fd of this.#sockets.values()) close(fd)
    this.#sockets.clear()
    this.#packet[Symbol.dispose]()
    this.#address[Symbol.dispose]()
  }
}

/** Too large for the interface, no way there, a firewall, no room: all the same to who waits for an answer. */
const isRefusal = (error: unknown): boolean =>
  isSysError(
    error,
    'EMSGSIZE',
    'ENETUNREACH',
    'EHOSTUNREACH',
    'ENETDOWN',
    'EHOSTDOWN',
    'EPERM',
    'EACCES',
    'EINVAL',
    'ENOBUFS',
    'EADDRNOTAVAIL',
  )
