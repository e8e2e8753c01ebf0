// TCP between network namespaces from this process: `WhoAsks` tells each caller as whom it sees him, a `Conversation` is
// a connection that is kept and asks again and again.
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Family, familyOf, ipFromBytes, ipToBytes, parseIPv4OrMapped } from '../../src/model/ip.ts'
import { allocate } from '../../src/sys/arena.ts'
import { close, connect, getsockname, isSysError, recvfrom, sendto, socket } from '../../src/sys/libc.ts'
import type { Namespace } from '../../src/sys/namespace.ts'
import { ip } from './values.ts'

const AF = { ipv4: 2, ipv6: 10 } as const satisfies Record<Family, number>
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
/** Bytes of struct sockaddr_in and sockaddr_in6, and where in them the address is; the port is at 2 in both. */
const SOCKADDR = { ipv4: { bytes: 16, at: 4 }, ipv6: { bytes: 28, at: 8 } } as const
/** Room for either. */
const SOCKADDR_BYTES = 32
const BUFFER_BYTES = 128

export interface End {
  readonly ip: string
  readonly port: number
}
interface Answer {
  /** Which server answered. */
  readonly by: string
  /** As whom it sees who asks. */
  readonly seen: End
}

/** Answers each line that comes with its own name and the address and port it comes from. */
export class WhoAsks implements AsyncDisposable {
  readonly #server: Server
  readonly #connections: ReadonlySet<Socket>

  private constructor(server: Server, connections: ReadonlySet<Socket>) {
    this.#server = server
    this.#connections = connections
  }

  /** At all addresses of the namespace, of both families. */
  static async listen(namespace: Namespace, port: number, name: string): Promise<WhoAsks> {
    const connections = new Set<Socket>()
    const server = createServer((caller) => {
      connections.add(caller)
      const address = caller.remoteAddress ?? ''
      const who = `${name} ${parseIPv4OrMapped(address) ?? ip(address)} ${caller.remotePort}\n`
      caller.on('data', () => caller.write(who))
      caller.on('close', () => connections.delete(caller))
      // A caller that is gone meanwhile sees for himself that he got no answer.
      caller.on('error', () => caller.destroy())
    })
    namespace.run(() => server.listen({ host: '::', port }))
    await once(server, 'listening')
    return new WhoAsks(server, connections)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    await new Promise<void>((done) => this.#server.close(() => done()))
  }
}

export class Conversation implements Disposable {
  readonly #fd: number
  readonly #block = allocate(SOCKADDR_BYTES + BUFFER_BYTES)
  readonly #to: End
  readonly #family: Family

  private constructor(fd: number, to: End) {
    this.#fd = fd
    this.#to = to
    this.#family = familyOf(ip(to.ip))
    const { bytes, view } = this.#block
    view.setUint16(0, AF[this.#family], true)
    view.setUint16(2, to.port)
    bytes.set(ipToBytes(ip(to.ip)), SOCKADDR[this.#family].at)
  }

  /** Begun, not yet answered: `ask` tells whether anybody is there. */
  static open(namespace: Namespace, to: End): Conversation {
    const fd = namespace.run(() => socket(AF[familyOf(ip(to.ip))], SOCK_STREAM | SOCK_NONBLOCK, 0))
    const conversation = new Conversation(fd, to)
    try {
      connect(fd, conversation.#block.address, SOCKADDR[conversation.#family].bytes)
    } catch (error) {
      if (!isSysError(error, 'EINPROGRESS')) {
        conversation[Symbol.dispose]()
        throw error
      }
    }
    return conversation
  }

  /** Its own end, as it sees itself. */
  get own(): End {
    const address = getsockname(this.#fd)
    const port = new DataView(address.buffer, address.byteOffset).getUint16(2)
    const { at } = SOCKADDR[this.#family]
    return { ip: ipFromBytes(address.subarray(at, at + (this.#family === 'ipv4' ? 4 : 16))), port }
  }

  /** What the server says to one more line. Throws if it says nothing in time, or the connection is refused or broken. */
  async ask(withinSeconds = 10): Promise<Answer> {
    const { bytes, address } = this.#block
    const buffer = address + SOCKADDR_BYTES
    const deadline = performance.now() + withinSeconds * 1000
    bytes.set(Buffer.from('who?\n'), SOCKADDR_BYTES)
    let isSent = false
    for (let said = ''; ;) {
      // Until it is connected there is no room for what is to be sent.
      if (!isSent) isSent = sendto(this.#fd, buffer, 5, 0) !== undefined
      const length = isSent ? recvfrom(this.#fd, buffer, BUFFER_BYTES, 0) : undefined
      if (length === 0) throw new Error(`${this.#to.ip}:${this.#to.port} closed without an answer`)
      if (length !== undefined)
        said += Buffer.from(bytes.subarray(SOCKADDR_BYTES, SOCKADDR_BYTES + length)).toString('latin1')
      if (said.endsWith('\n')) {
        const [by = '', seenIp = '', seenPort] = said.trim().split(' ')
        return { by, seen: { ip: seenIp, port: Number(seenPort) } }
      }
      if (performance.now() > deadline)
        throw new Error(`no answer from ${this.#to.ip}:${this.#to.port} within ${withinSeconds} s`)
      await sleep(1)
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd)
    this.#block[Symbol.dispose]()
  }
}
