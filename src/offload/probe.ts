// Asks one peer twice at once, through a tunnel device, for a TCP connection that nobody accepts: by the kernel's own
// TCP, which leaves the checksum to the device, and by a packet that bears one of ours. A checksum that arrives good is
// answered by a refusal (RST), which needs no offload on its way back.
import { randomBytes } from 'node:crypto'
import { familyOf, type Ip, ipToBytes } from '../model/ip.ts'
import { allocate } from '../sys/arena.ts'
import {
  bind,
  close,
  connect,
  getsockname,
  isSysError,
  MSG,
  recvfrom,
  sendto,
  setsockopt,
  setsockoptInt,
  socket,
} from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { register } from '../sys/readiness.ts'
import { Deadline } from './deadline.ts'
import { answers, IPPROTO_TCP, synOf, type Ends } from './syn.ts'
import type { Round } from './verdict.ts'

const AF = { ipv4: 2, ipv6: 10 } as const
const SOCK_STREAM = 1
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOL_SOCKET = 1
const SO = { bindToDevice: 25, mark: 36 } as const
/** Don't fragment, as TCP's own packets: IP_MTU_DISCOVER, IPV6_MTU_DISCOVER to ..._PMTUDISC_DO. */
const MTU_DISCOVER = { ipv4: { level: 0, option: 10 }, ipv6: { level: 41, option: 23 } } as const
const PMTUDISC_DO = 2
/** VXLAN's own number, of TCP: nobody listens there. */
const TARGET_PORT = 8472
/** What left at the same time and is not answered so long after the other is lost. */
const BEHIND_MS = 400
/** More than any answer; the rest of a longer packet doesn't matter. */
const RECEIVE_BYTES = 256

export interface Question {
  /** The tunnel device, our address on it, and the peer's. */
  readonly device: string
  readonly source: Ip
  readonly target: Ip
  /** Of the packets: 0, or what rules of others take as theirs. */
  readonly mark: number
  readonly timeoutMs: number
  readonly namespace?: Namespace
}

/** Undefined where nothing could be sent. Throws SysError where this process may open no raw socket. */
export async function ask(question: Question, signal: AbortSignal): Promise<Round | undefined> {
  using parts = new DisposableStack()
  const [offloaded, reserved, control] = [SOCK_STREAM, SOCK_STREAM, SOCK_RAW].map((type) =>
    openSocket(parts, question, type),
  )
  if (offloaded === undefined || reserved === undefined || control === undefined) return undefined
  const { source, target } = question
  const ends: Ends = { source, sourcePort: portOf(reserved), target, targetPort: TARGET_PORT }
  const sequence = randomBytes(4).readUInt32BE()
  const heard = { offloaded: false, control: false }
  try {
    connectTo(control, { ip: target, port: 0 })
    heard.offloaded = beginsConnected(offloaded, target)
    sendSyn(control, synOf(ends, sequence))
  } catch (error) {
    if (isNoWay(error)) return undefined
    throw error
  }
  const over = parts.use(new Deadline(question.timeoutMs, signal))
  const listen = () => {
    heard.offloaded ||= isConnected(offloaded, target)
    // What the control would tell is of no interest any more.
    if (heard.offloaded) return over.end()
    if (heard.control || !hasAnswer(control, ends, sequence)) return
    heard.control = true
    over.within(BEHIND_MS)
  }
  parts.use(register(offloaded, listen))
  parts.use(register(control, listen))
  await over.reached
  // This process may have stood still until after the time.
  listen()
  return heard
}

/** Bound to the device and to our address, so that it goes through the tunnel or nowhere; undefined if neither is there. */
function openSocket(parts: DisposableStack, question: Question, type: number): number | undefined {
  const { device, source, mark, namespace } = question
  const family = familyOf(source)
  const protocol = type === SOCK_RAW ? IPPROTO_TCP : 0
  const make = () => socket(AF[family], type | SOCK_NONBLOCK, protocol)
  const fd = namespace === undefined ? make() : namespace.run(make)
  parts.defer(() => close(fd))
  using block = allocate(64)
  const name = Buffer.from(device)
  block.bytes.set(name)
  try {
    setsockopt(fd, SOL_SOCKET, SO.bindToDevice, block.address, name.length)
    if (mark !== 0) setsockoptInt(fd, SOL_SOCKET, SO.mark, mark)
    const { level, option } = MTU_DISCOVER[family]
    setsockoptInt(fd, level, option, PMTUDISC_DO)
    withAddress({ ip: source, port: 0 }, (address, bytes) => bind(fd, address, bytes))
    return fd
  } catch (error) {
    if (isNoWay(error)) return undefined
    throw error
  }
}

const isNoWay = (error: unknown): boolean =>
  isSysError(error, 'ENODEV', 'ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EPERM', 'EACCES')

interface SocketAddress {
  readonly ip: Ip
  readonly port: number
}

/** struct sockaddr_in and sockaddr_in6 of netinet/in.h. */
function withAddress<T>({ ip, port }: SocketAddress, use: (address: number, bytes: number) => T): T {
  using block = allocate(28)
  const address = ipToBytes(ip)
  block.view.setUint16(0, AF[familyOf(ip)], true)
  block.view.setUint16(2, port)
  block.bytes.set(address, address.length === 4 ? 4 : 8)
  return use(block.address, address.length === 4 ? 16 : 28)
}

const portOf = (fd: number): number => {
  const name = getsockname(fd)
  return ((name[2] ?? 0) << 8) | (name[3] ?? 0)
}

const connectTo = (fd: number, to: SocketAddress): void =>
  withAddress(to, (address, bytes) => connect(fd, address, bytes))

/** Begins to connect: true if the peer has answered in whatever way already. */
function beginsConnected(fd: number, target: Ip): boolean {
  try {
    connectTo(fd, { ip: target, port: TARGET_PORT })
    return true
  } catch (error) {
    if (isSysError(error, 'EINPROGRESS', 'EALREADY')) return false
    if (isSysError(error, 'ECONNREFUSED', 'ECONNRESET', 'EISCONN')) return true
    throw error
  }
}

/** The same later, by when others may have said that there is no way: that is no answer of the peer. */
function isConnected(fd: number, target: Ip): boolean {
  try {
    return beginsConnected(fd, target)
  } catch (error) {
    if (!isSysError(error)) throw error
    return false
  }
}

function sendSyn(fd: number, syn: Uint8Array): void {
  using block = allocate(syn.length)
  block.bytes.set(syn)
  sendto(fd, block.address, syn.length, 0)
}

/** Reads until there is nothing more. */
function hasAnswer(fd: number, ends: Ends, sequence: number): boolean {
  using block = allocate(RECEIVE_BYTES)
  let isAnswered = false
  for (;;)
    try {
      const length = recvfrom(fd, block.address, RECEIVE_BYTES, MSG.dontWait)
      if (length === undefined) return isAnswered
      if (answers(block.bytes.subarray(0, length), ends, sequence)) isAnswered = true
    } catch (error) {
      // What a firewall on the way says by ICMP is no answer of the peer.
      if (!isSysError(error)) throw error
    }
}
