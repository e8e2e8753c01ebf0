// Whether a network device takes over the checksums of what it sends, as `ethtool -k` and `-K` tell and set it
// (linux/ethtool.h). The kernel announces each change as one of the link.
import { allocate } from './arena.ts'
import { close, ioctl, isSysError, socket } from './libc.ts'
import type { Namespace } from './namespace.ts'

const AF_INET = 2
const SOCK_DGRAM = 2
const SIOCGIFINDEX = 0x8933
const SIOCETHTOOL = 0x8946
/** struct ifreq of net/if.h: the name, then a pointer to struct ethtool_value: command and value, 32 bits each. */
const NAME_BYTES = 16
const IFREQ_BYTES = 40
const ETHTOOL = { getTxChecksum: 0x16, setTxChecksum: 0x17 } as const

export class Ethtool implements Disposable {
  readonly #fd: number
  readonly #block = allocate(IFREQ_BYTES + 8)
  #open = true

  /** For the devices of that namespace, this thread's unless given. */
  constructor(namespace?: Namespace) {
    const make = () => socket(AF_INET, SOCK_DGRAM, 0)
    this.#fd = namespace === undefined ? make() : namespace.run(make)
  }

  /** Undefined where there is no such device, or it can't be told. */
  txChecksum(device: string): boolean | undefined {
    try {
      return this.#call(device, ETHTOOL.getTxChecksum, 0) !== 0
    } catch (error) {
      if (isSysError(error, 'ENODEV', 'EOPNOTSUPP')) return undefined
      throw error
    }
  }

  /** Another one once a device has been made anew; undefined where there is none. */
  index(device: string): number | undefined {
    try {
      this.#name(device)
      ioctl(this.#fd, SIOCGIFINDEX, this.#block.address)
      return this.#block.view.getInt32(NAME_BYTES, true)
    } catch (error) {
      if (isSysError(error, 'ENODEV')) return undefined
      throw error
    }
  }

  /** Throws SysError: ENODEV for an unknown device, EOPNOTSUPP where it can't be changed, EPERM without CAP_NET_ADMIN. */
  setTxChecksum(device: string, on: boolean): void {
    this.#call(device, ETHTOOL.setTxChecksum, on ? 1 : 0)
  }

  #call(device: string, command: number, value: number): number {
    this.#name(device)
    const { view, address } = this.#block
    view.setBigUint64(NAME_BYTES, BigInt(address + IFREQ_BYTES), true)
    view.setUint32(IFREQ_BYTES, command, true)
    view.setUint32(IFREQ_BYTES + 4, value, true)
    ioctl(this.#fd, SIOCETHTOOL, address)
    return view.getUint32(IFREQ_BYTES + 4, true)
  }

  #name(device: string): void {
    const name = Buffer.from(device)
    if (name.length >= NAME_BYTES) throw new RangeError(`${JSON.stringify(device)} is no device's name`)
    this.#block.bytes.fill(0)
    this.#block.bytes.set(name)
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    close(this.#fd)
    this.#block[Symbol.dispose]()
  }
}
