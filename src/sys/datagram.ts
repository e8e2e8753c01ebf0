// Datagrams to a UNIX socket, which Node can't send. Never waits for the receiver.
import { allocate } from './arena.ts'
import { close, MSG, sendto, socket } from './libc.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2
/** sizeof(sun_path) of sys/un.h. */
const PATH_BYTES = 108
const FAMILY_BYTES = 2

export class DatagramSender implements Disposable {
  readonly #path: string
  readonly #fd: number
  readonly #address = allocate(FAMILY_BYTES + PATH_BYTES)
  readonly #addressBytes: number
  #open = true

  /** `path` as the kernel shows it: of the file system, or `@name` of the abstract name space. Throws RangeError if it can't be one. */
  constructor(path: string) {
    this.#path = path
    const isAbstract = path.startsWith('@')
    const name = Buffer.from(isAbstract ? path.slice(1) : path)
    // An abstract name begins with NUL and ends with the address; another one ends with NUL.
    this.#addressBytes = FAMILY_BYTES + name.length + 1
    if (name.length === 0 || name.length >= PATH_BYTES || name.includes(0)) {
      this.#address[Symbol.dispose]()
      throw new RangeError(`${JSON.stringify(path)} can't be the address of a UNIX socket`)
    }
    this.#address.view.setUint16(0, AF_UNIX, true)
    this.#address.bytes.set(name, FAMILY_BYTES + (isAbstract ? 1 : 0))
    this.#fd = socket(AF_UNIX, SOCK_DGRAM, 0)
  }

  get path(): string {
    return this.#path
  }

  /** False if the receiver has no room now. Throws SysError: ENOENT or ECONNREFUSED where nobody receives. */
  send(text: string): boolean {
    const bytes = Buffer.from(text)
    using block = allocate(bytes.length)
    block.bytes.set(bytes)
    const to = { address: this.#address.address, bytes: this.#addressBytes }
    return sendto(this.#fd, block.address, bytes.length, MSG.dontWait, to) !== undefined
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    close(this.#fd)
    this.#address[Symbol.dispose]()
  }
}
