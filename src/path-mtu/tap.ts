// An ear at a tunnel's device, before any firewall: answers to our probes, and the first large packet of a while to each
// peer, as a hint that its path matters now. The kernel drops all else, so nobody is woken while nothing happens.
import type { Family } from '../model/ip.ts'
import { macFromBytes, type Mac } from '../model/mac.ts'
import { attachProgram } from '../netlink/filter.ts'
import { allocate, type Block } from '../sys/arena.ts'
import { bind, close, isSysError, MSG, recvfrom, socket } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { register } from '../sys/readiness.ts'
import { readAnswer, type Answer } from './packets.ts'
import { tapProgram, type Heed } from './tap-program.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const ETH_P_ALL = 0x0003
/** struct sockaddr_ll of linux/if_packet.h, and its sll_pkttype. */
const SOCKADDR_BYTES = 20
const PKTTYPE_AT = 10
const PACKET_OUTGOING = 4
/** More than is kept of any frame. */
const FRAME_BYTES = 256

export interface TapListener {
  answered(answer: Answer): void
  /** A large packet is on its way to this peer. */
  large(to: Mac): void
}

export class Tap implements Disposable {
  readonly #fd: number
  readonly #family: Family
  readonly #listener: TapListener
  readonly #frame: Block = allocate(FRAME_BYTES)
  readonly #sender: Block = allocate(SOCKADDR_BYTES)
  readonly #ready: Disposable
  #open = true

  /** Throws SysError: ENODEV or ENETDOWN where the link isn't there or not up. */
  constructor(
    linkIndex: number,
    family: Family,
    heed: Heed,
    listener: TapListener,
    namespace: Namespace | undefined,
  ) {
    this.#family = family
    this.#listener = listener
    // Without a protocol it hears nothing until it is bound to its link.
    const make = () => socket(AF_PACKET, SOCK_RAW, 0)
    this.#fd = namespace === undefined ? make() : namespace.run(make)
    try {
      this.heed(heed)
      this.#sender.view.setUint16(0, AF_PACKET, true)
      this.#sender.view.setUint16(2, ETH_P_ALL)
      this.#sender.view.setInt32(4, linkIndex, true)
      bind(this.#fd, this.#sender.address, SOCKADDR_BYTES)
      this.#ready = register(this.#fd, () => this.#drain())
    } catch (error) {
      close(this.#fd)
      this.#frame[Symbol.dispose]()
      this.#sender[Symbol.dispose]()
      throw error
    }
  }

  /** False once the link has gone, or was down for a moment: another ear is needed. */
  get isOpen(): boolean {
    return this.#open
  }

  /** Whom to hear of from now on. */
  heed(heed: Heed): void {
    attachProgram(this.#fd, tapProgram(this.#family, heed))
  }

  #drain(): void {
    try {
      while (this.#open && this.#receive()) continue
    } catch (error) {
      if (!isSysError(error, 'ENETDOWN')) throw error
      this[Symbol.dispose]()
    }
  }

  #receive(): boolean {
    const from = { address: this.#sender.address, bytes: SOCKADDR_BYTES }
    const length = recvfrom(this.#fd, this.#frame.address, FRAME_BYTES, MSG.dontWait, from)
    if (length === undefined) return false
    const frame = this.#frame.bytes.subarray(0, length)
    if (this.#sender.view.getUint8(PKTTYPE_AT) === PACKET_OUTGOING)
      this.#listener.large(macFromBytes(frame.subarray(0, 6)))
    else {
      const answer = readAnswer(frame)
      if (answer !== undefined) this.#listener.answered(answer)
    }
    return true
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#ready[Symbol.dispose]()
    close(this.#fd)
    this.#frame[Symbol.dispose]()
    this.#sender[Symbol.dispose]()
  }
}
