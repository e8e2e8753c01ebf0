// A real UNIX datagram socket that a test listens on, as systemd's is: `using inbox = new DatagramInbox('@name')`.
import { allocate } from '../../src/sys/arena.ts'
import { bind, close, MSG, recvfrom, socket } from '../../src/sys/libc.ts'
import { eventually } from './process.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2

export class DatagramInbox implements Disposable {
  /** In the file system, or `@name` of the abstract name space. */
  readonly path: string
  /** All that came so far. */
  readonly received: string[] = []
  readonly #fd: number
  readonly #block = allocate(1 << 16)

  constructor(path: string) {
    this.path = path
    const isAbstract = path.startsWith('@')
    const name = Buffer.from(isAbstract ? path.slice(1) : path)
    using address = allocate(110)
    address.view.setUint16(0, AF_UNIX, true)
    address.bytes.set(name, isAbstract ? 3 : 2)
    this.#fd = socket(AF_UNIX, SOCK_DGRAM, 0)
    bind(this.#fd, address.address, 3 + name.length)
  }

  /** What came since the last call; never waits. */
  take(): string[] {
    const fresh: string[] = []
    for (;;) {
      const length = recvfrom(this.#fd, this.#block.address, 1 << 16, MSG.dontWait)
      if (length === undefined) break
      fresh.push(Buffer.from(this.#block.bytes.subarray(0, length)).toString())
    }
    this.received.push(...fresh)
    return fresh
  }

  /** The first datagram from number `from` on that matches. */
  message(pattern: RegExp, { withinSeconds = 20, from = 0 } = {}): Promise<string> {
    return eventually(
      `a datagram like ${pattern}`,
      () => {
        this.take()
        return this.received.slice(from).find((text) => pattern.test(text))
      },
      withinSeconds,
    )
  }

  [Symbol.dispose](): void {
    close(this.#fd)
    this.#block[Symbol.dispose]()
  }
}
