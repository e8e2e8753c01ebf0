// One ICMP echo, as `ping` sends it, from a socket of our own: hosts of a lab need no `ping`.
import { randomBytes } from 'node:crypto'
import { familyOf, type Ip, ipToBytes } from '../model/ip.ts'
import { allocate, type Block } from './arena.ts'
import { internetChecksum } from './internet-checksum.ts'
import { close, connect, isSysError, MSG, recvfrom, sendto, setsockopt, socket } from './libc.ts'
import type { Namespace } from './namespace.ts'
import { register } from './readiness.ts'

const AF = { ipv4: 2, ipv6: 10 } as const
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const PROTOCOL = { ipv4: 1, ipv6: 58 } as const
const ECHO_REQUEST = { ipv4: 8, ipv6: 128 } as const
const ECHO_REPLY = { ipv4: 0, ipv6: 129 } as const
/** ICMP_FILTER at SOL_RAW and ICMP6_FILTER at IPPROTO_ICMPV6: a set bit blocks its type. */
const FILTER = { ipv4: { level: 255, bytes: 4 }, ipv6: { level: 58, bytes: 32 } } as const
const TOKEN_BYTES = 16

export interface EchoOptions {
  readonly timeoutMs: number
  readonly namespace?: Namespace
  readonly signal?: AbortSignal
}

/**
 * Microseconds until `target` answered; undefined if it didn't, or if nothing could be sent (no route, a firewall).
 * Throws SysError where this process may not open such a socket (CAP_NET_RAW, or net.ipv4.ping_group_range).
 */
export async function echo(target: Ip, options: EchoOptions): Promise<number | undefined> {
  const fd =
    options.namespace === undefined ? openSocket(target) : options.namespace.run(() => openSocket(target))
  using block = allocate(2048)
  const token = randomBytes(TOKEN_BYTES)
  try {
    if (!pointAt(fd, block, target)) return undefined
    const started = performance.now()
    if (!send(fd, block, target, token)) return undefined
    return await answer(fd, block, target, token, started, options)
  } finally {
    close(fd)
  }
}

/** Raw, else a ping socket, which unprivileged users may have. Either gives only replies to us, or nearly. */
function openSocket(target: Ip): number {
  const family = familyOf(target)
  try {
    const fd = socket(AF[family], SOCK_RAW, PROTOCOL[family])
    using filter = allocate(FILTER[family].bytes)
    filter.bytes.fill(0xff)
    const type = ECHO_REPLY[family]
    filter.bytes[type >> 3] = 0xff & ~(1 << (type & 7))
    setsockopt(fd, FILTER[family].level, 1, filter.address, FILTER[family].bytes)
    return fd
  } catch (error) {
    if (!isSysError(error, 'EPERM')) throw error
    return socket(AF[family], SOCK_DGRAM, PROTOCOL[family])
  }
}

const isUnreachable = (error: unknown): boolean =>
  isSysError(
    error,
    'ENETUNREACH',
    'EHOSTUNREACH',
    'ENETDOWN',
    'EHOSTDOWN',
    'EPERM',
    'EACCES',
    'EINVAL',
    'ECONNREFUSED',
  )

/** Connects, so that only what comes from the target is heard; false if there is no way to it. */
function pointAt(fd: number, block: Block, target: Ip): boolean {
  const address = ipToBytes(target)
  block.view.setUint16(0, AF[familyOf(target)], true)
  // struct sockaddr_in has the address after the port, sockaddr_in6 after the flow too.
  block.bytes.set(address, address.length === 4 ? 4 : 8)
  return unlessUnreachable(() => connect(fd, block.address, address.length === 4 ? 16 : 28))
}

function send(fd: number, block: Block, target: Ip, token: Uint8Array): boolean {
  const family = familyOf(target)
  const bytes = block.bytes.subarray(0, 8 + TOKEN_BYTES)
  bytes.fill(0)
  bytes[0] = ECHO_REQUEST[family]
  bytes.set(token.subarray(0, 2), 4)
  bytes[7] = 1
  bytes.set(token, 8)
  // The kernel sums ICMPv6 itself.
  if (family === 'ipv4') block.view.setUint16(2, internetChecksum(bytes))
  return unlessUnreachable(() => void sendto(fd, block.address, bytes.length, 0))
}

function unlessUnreachable(act: () => void): boolean {
  try {
    act()
    return true
  } catch (error) {
    if (isUnreachable(error)) return false
    throw error
  }
}

async function answer(
  fd: number,
  block: Block,
  target: Ip,
  token: Uint8Array,
  started: number,
  options: EchoOptions,
): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  const read = () => {
    for (;;) {
      const length = receive(fd, block)
      if (length === undefined) return
      if (length > 0 && isReply(block.bytes.subarray(0, length), target, token))
        resolve(Math.round((performance.now() - started) * 1000))
    }
  }
  using _ = register(fd, read)
  const giveUp = () => resolve(undefined)
  const timer = setTimeout(giveUp, options.timeoutMs)
  options.signal?.addEventListener('abort', giveUp, { once: true })
  try {
    // Over local links the reply is there when sendto returns.
    read()
    if (options.signal?.aborted === true) giveUp()
    return await promise
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', giveUp)
  }
}

/** Bytes read; 0 for an error that an ICMP message brought; undefined when there is nothing more. */
function receive(fd: number, block: Block): number | undefined {
  try {
    return recvfrom(fd, block.address, block.bytes.length, MSG.dontWait)
  } catch (error) {
    if (isUnreachable(error)) return 0
    throw error
  }
}

function isReply(packet: Uint8Array, target: Ip, token: Uint8Array): boolean {
  const family = familyOf(target)
  // Raw IPv4 sockets give the IP header too; an ICMP message never begins with 0x4.
  const start = family === 'ipv4' && ((packet[0] ?? 0) & 0xf0) === 0x40 ? ((packet[0] ?? 0) & 0x0f) * 4 : 0
  if (packet[start] !== ECHO_REPLY[family]) return false
  return token.every((byte, index) => packet[start + 8 + index] === byte)
}
