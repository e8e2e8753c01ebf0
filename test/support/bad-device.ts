// Puts a network device that fills in checksums badly between a host and its segment: frames are carried by AF_PACKET
// sockets without PACKET_VNET_HDR, so what the kernel leaves to a device comes as it is, and is filled in here.
import { allocate } from '../../src/sys/arena.ts'
import { bind, close, MSG, recvfrom, sendto, setsockoptInt, socket } from '../../src/sys/libc.ts'
import { register } from '../../src/sys/readiness.ts'
import type { TestHost } from './kernel.ts'
import type { Segment } from './segment.ts'
import { fillIn, type Device } from './spoiled-sums.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const ETH_P_ALL = 3
const SOL_PACKET = 263
const PACKET_IGNORE_OUTGOING = 23
/** Behind an Ethernet header, of IPv4. */
const TOS_AT = 15
const FRAME_BYTES = 65_600

export class BadDevice implements Disposable {
  readonly #parts = new DisposableStack()
  /** How the host's own frames are filled in; frames to the host always well. */
  device: Device = 'bad'
  /** Whether only packets of another traffic class than the usual are filled in badly. */
  isChoosy = false

  /** From now on all that host `number` sends and hears goes through it. Its own segmentation offload is off. */
  static async before(segment: Segment, number: number): Promise<BadDevice> {
    const off = (name: string) => `ethtool -K ${name} tso off gso off`
    await segment.host(number).sh(off('eth0'))
    await segment.switch.sh(`
      ip link set port${number} nomaster
      ip link add in${number} type veth peer name out${number}; ${off(`in${number}`)}
      ip link set out${number} up; ip link set in${number} master br0 up
    `)
    const device = new BadDevice()
    device.#join(segment.switch, `port${number}`, `out${number}`)
    return device
  }

  #join(host: TestHost, hostSide: string, segmentSide: string): void {
    const [near, far] = [this.#open(host, hostSide), this.#open(host, segmentSide)]
    this.#carry(near, far, (frame) => (this.isChoosy && frame[TOS_AT] === 0 ? 'good' : this.device))
    this.#carry(far, near, () => 'good')
  }

  #open(host: TestHost, link: string): number {
    const fd = host.namespace.run(() => socket(AF_PACKET, SOCK_RAW, 0))
    this.#parts.defer(() => close(fd))
    setsockoptInt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    // struct sockaddr_ll of linux/if_packet.h.
    using address = allocate(20)
    address.view.setUint16(0, AF_PACKET, true)
    address.view.setUint16(2, ETH_P_ALL)
    address.view.setInt32(4, host.index(link), true)
    bind(fd, address.address, 20)
    return fd
  }

  #carry(from: number, to: number, deviceFor: (frame: Uint8Array) => Device): void {
    const block = this.#parts.use(allocate(FRAME_BYTES))
    const drain = () => {
      let length: number | undefined
      while ((length = recvfrom(from, block.address, FRAME_BYTES, MSG.dontWait)) !== undefined) {
        const frame = block.bytes.subarray(0, length)
        fillIn(frame, deviceFor(frame))
        sendto(to, block.address, length, MSG.dontWait)
      }
    }
    this.#parts.use(register(from, drain))
  }

  [Symbol.dispose](): void {
    this.#parts.dispose()
  }
}
