// Taps on the tunnels' devices, opened as those come up, and whom they need not tell of now.
import type { Mac } from '../model/mac.ts'
import { isMissing } from '../netlink/error.ts'
import { getLink, parseLink } from '../netlink/link.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { isSysError } from '../sys/libc.ts'
import type { Namespace } from '../sys/namespace.ts'
import { PathMtuError } from './error.ts'
import type { Answer } from './packets.ts'
import { MOST_EXCEPTED, type Heed } from './tap-program.ts'
import { Tap } from './tap.ts'
import type { Tunnel } from './target.ts'

/**
 * After a large packet to a peer it is asked once more this much later, though none follows: what was lost meanwhile is
 * sent again ever more seldom. Another packet is news as long after that; all later where there are many such peers.
 */
const QUIET_MS = 500
const QUIET_FOR_EACH_MS = 50
/** Those whose time is up are heard of again together. */
const GATHER_MS = 100

export interface EarListener {
  answered(device: string, answer: Answer): void
  /** A large packet is on its way to this peer, or was a moment ago. */
  large(device: string, to: Mac): void
}

interface Quiet {
  readonly untilMs: number
  readonly forMs: number
  /** It has been asked about once more. */
  readonly isSecond: boolean
}

interface Ear {
  readonly tunnel: Tunnel
  tap: Tap | undefined
  /** Peers of whose large packets nothing is to be heard. */
  readonly quiet: Map<Mac, Quiet>
  isChanged: boolean
}

export class Ears implements Disposable {
  readonly #id: number
  readonly #listener: EarListener
  readonly #namespace: Namespace | undefined
  readonly #netlink: NetlinkSocket
  #ears = new Map<string, Ear>()
  #timer: NodeJS.Timeout | undefined

  /** `id`: ICMP identifier of the probes whose answers count. */
  constructor(id: number, listener: EarListener, namespace: Namespace | undefined) {
    this.#id = id
    this.#listener = listener
    this.#namespace = namespace
    this.#netlink = NetlinkSocket.open('route', namespace)
  }

  /** Of these from now on, and of no others. */
  on(tunnels: readonly Tunnel[]): void {
    const before = this.#ears
    this.#ears = new Map()
    for (const tunnel of tunnels) {
      const ear = before.get(tunnel.device)
      this.#ears.set(tunnel.device, {
        tunnel,
        tap: ear?.tap,
        quiet: ear?.quiet ?? new Map(),
        isChanged: false,
      })
      before.delete(tunnel.device)
    }
    for (const ear of before.values()) ear.tap?.[Symbol.dispose]()
    this.open()
  }

  isOpen(device: string): boolean {
    return this.#ears.get(device)?.tap?.isOpen === true
  }

  /** Listens on devices that may have come up since; true if on another one. */
  open(): boolean {
    let isAnother = false
    for (const ear of this.#ears.values()) {
      if (ear.tap?.isOpen === true) continue
      ear.tap = this.#tapOf(ear)
      isAnother ||= ear.tap !== undefined
    }
    return isAnother
  }

  #tapOf(ear: Ear): Tap | undefined {
    const { device, family } = ear.tunnel
    try {
      const [reply] = this.#netlink.request(getLink(device))
      if (reply === undefined) return undefined
      return new Tap(
        parseLink(reply.body).index,
        family,
        this.#heed(ear),
        {
          answered: (answer) => this.#listener.answered(device, answer),
          large: (to) => this.#heard(ear, to),
        },
        this.#namespace,
      )
    } catch (error) {
      if (isMissing(error) || isSysError(error, 'ENODEV', 'ENETDOWN', 'ENXIO')) return undefined
      if (isSysError(error, 'EPERM', 'EACCES', 'EAFNOSUPPORT'))
        throw new PathMtuError(
          'forbidden',
          `paths can't be asked about (${error.message}): give flanneld CAP_NET_RAW, or --mtu-probe=off`,
          { cause: error },
        )
      throw error
    }
  }

  #heard(ear: Ear, to: Mac): void {
    // Several were on their way before the tap knew.
    if (ear.quiet.has(to)) return
    const forMs = QUIET_MS + QUIET_FOR_EACH_MS * ear.quiet.size
    ear.quiet.set(to, { untilMs: performance.now() + forMs, forMs, isSecond: false })
    this.#change(ear)
    this.#listener.large(ear.tunnel.device, to)
    this.#timer ??= setTimeout(() => this.#wake(), QUIET_MS)
  }

  #change(ear: Ear): void {
    if (ear.isChanged) return
    ear.isChanged = true
    queueMicrotask(() => {
      ear.isChanged = false
      if (ear.tap?.isOpen === true) ear.tap.heed(this.#heed(ear))
    })
  }

  /** Runs only while there is somebody to hear of again. */
  #wake(): void {
    this.#timer = undefined
    const soon = performance.now() + GATHER_MS
    let next = Infinity
    for (const ear of this.#ears.values())
      for (const [mac, { untilMs, forMs, isSecond }] of ear.quiet)
        if (untilMs > soon) next = Math.min(next, untilMs)
        else if (isSecond) {
          ear.quiet.delete(mac)
          this.#change(ear)
        } else {
          const later = untilMs + forMs
          ear.quiet.set(mac, { untilMs: later, forMs, isSecond: true })
          next = Math.min(next, later)
          this.#listener.large(ear.tunnel.device, mac)
        }
    if (next < Infinity) this.#timer = setTimeout(() => this.#wake(), next - performance.now())
  }

  #heed({ quiet }: Ear): Heed {
    return { id: this.#id, except: quiet.size > MOST_EXCEPTED ? 'all' : [...quiet.keys()] }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const ear of this.#ears.values()) ear.tap?.[Symbol.dispose]()
    this.#ears.clear()
    this.#netlink[Symbol.dispose]()
  }
}
