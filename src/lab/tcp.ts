// Proves TCP between network namespaces from one process: a server in each, and connections made in one and
// answered in another. The server tells which address it sees, the kernel how long a round trip took.
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { familyOf, ipToBytes, type Ip } from '../model/ip.ts'
import { allocate } from '../sys/arena.ts'
import { close, connect, getsockopt, isSysError, MSG, recvfrom, socket } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'

const AF = { ipv4: 2, ipv6: 10 } as const
/** Bytes of struct sockaddr_in and sockaddr_in6, and where in them the address is. */
const SOCKADDR = { ipv4: { bytes: 16, at: 4 }, ipv6: { bytes: 28, at: 8 } } as const
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const IPPROTO_TCP = 6
const TCP_INFO = 11
/** tcpi_rtt of struct tcp_info (linux/tcp.h), microseconds. */
const TCPI_RTT = 68

/** Answers every connection with the address it comes from. */
export class EchoServer implements AsyncDisposable {
  readonly #server: Server
  readonly #connections: ReadonlySet<Socket>
  readonly ip: Ip

  private constructor(server: Server, connections: ReadonlySet<Socket>, ip: Ip) {
    this.#server = server
    this.#connections = connections
    this.ip = ip
  }

  static async listen(namespace: Namespace, ip: Ip): Promise<EchoServer> {
    const connections = new Set<Socket>()
    const server = createServer((socket) => {
      connections.add(socket)
      socket.on('close', () => connections.delete(socket))
      // A client that is gone meanwhile sees for itself that it got no answer.
      socket.on('error', () => socket.destroy())
      socket.end(`${socket.remoteAddress ?? ''}\n`)
    })
    namespace.run(() => server.listen({ host: ip, port: 0 }))
    await once(server, 'listening')
    return new EchoServer(server, connections, ip)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A client that can't be reached any more would keep its connection for minutes.
    for (const connection of this.#connections) connection.destroy()
    await new Promise<void>((done) => this.#server.close(() => done()))
  }
}

export type TcpAnswer =
  /** `seen`: our address as the server saw it. */
  | { readonly kind: 'answered'; readonly seen: string; readonly ms: number }
  | { readonly kind: 'failed'; readonly reason: string }

/** Connects from inside `namespace` and reads what the server says. Never throws for what the network does. */
export async function askServer(
  namespace: Namespace,
  server: { readonly ip: Ip; readonly port: number },
  deadlineMs: number,
): Promise<TcpAnswer> {
  const family = familyOf(server.ip)
  const fd = namespace.run(() => socket(AF[family], SOCK_STREAM | SOCK_NONBLOCK, 0))
  using block = allocate(256)
  try {
    block.view.setUint16(0, AF[family], true)
    block.view.setUint16(2, server.port)
    block.bytes.set(ipToBytes(server.ip), SOCKADDR[family].at)
    try {
      connect(fd, block.address, SOCKADDR[family].bytes)
    } catch (error) {
      if (!isSysError(error, 'EINPROGRESS')) throw error
    }
    const end = performance.now() + deadlineMs
    let said = ''
    for (;;) {
      const length = recvfrom(fd, block.address, 128, MSG.dontWait)
      if (length !== undefined) said += Buffer.from(block.bytes.subarray(0, length)).toString('latin1')
      if (said.endsWith('\n')) return { kind: 'answered', seen: said.trim(), ms: roundTripMs(fd) }
      if (length === 0) return { kind: 'failed', reason: 'closed without an answer' }
      if (performance.now() > end) return { kind: 'failed', reason: `no answer in ${deadlineMs} ms` }
      await sleep(1)
    }
  } catch (error) {
    if (!isSysError(error)) throw error
    return { kind: 'failed', reason: error.errnoName }
  } finally {
    close(fd)
  }
}

function roundTripMs(fd: number): number {
  using info = allocate(256)
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, info.address, info.bytes.length)
  return info.view.getUint32(TCPI_RTT, true) / 1000
}
