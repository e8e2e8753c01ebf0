// Knows what the path to each peer carries, by asking: probes go out, echoes come back, and what came is told to whoever
// plans routes. Silence of a peer tells nothing; only a small packet that passes beside a large one that doesn't does.
import type { KernelObject } from '../model/kernel.ts'
import type { Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import type { Namespace } from '../sys/namespace.ts'
import { Agenda, PACE, type Pace } from './agenda.ts'
import { Ears, type EarListener } from './ears.ts'
import { Looks, type LookListener } from './looks.ts'
import type { Answer } from './packets.ts'
import { PathBook } from './path-book.ts'
import type { PeerPath } from './peer-path.ts'
import type { Tunnel } from './target.ts'

export interface PathMtuOptions {
  /** This thread's unless given. */
  readonly namespace?: Namespace
  /** Told of paths of which something else is known now. */
  readonly onChange: (changes: readonly PathChange[]) => void
  /** Told of the end of each look at a path. */
  readonly onLooked?: () => void
  /** What was known of the packets to a subnet before: in bytes, without the tunnel's headers. */
  readonly known?: ReadonlyMap<Prefix, number>
  readonly pace?: Pace
}

export interface PathChange {
  readonly source: string
  readonly subnet: Prefix
  /** Where the tunnel leads. */
  readonly remote: string
  /** Within the tunnel; undefined: as much as the interface leaves. */
  readonly mtuBytes: number | undefined
}

export class PathMtu implements Disposable {
  readonly #options: PathMtuOptions
  readonly #looks: Looks
  readonly #ears: Ears
  readonly #agenda: Agenda<PeerPath>
  readonly #book: PathBook
  #timer: NodeJS.Timeout | undefined
  #wakesAtMs = Infinity

  constructor(options: PathMtuOptions) {
    this.#options = options
    const { namespace, pace, known } = options
    this.#book = new PathBook(known)
    this.#agenda = new Agenda(pace ?? PACE, performance.now())
    const looking: LookListener = {
      learned: (path, bytes) => this.#learned(path, bytes),
      ended: (path, { wasPlanned, isChanged }) => {
        options.onLooked?.()
        if (wasPlanned || isChanged) this.#looked(path)
      },
    }
    this.#looks = new Looks(this.#book, looking, namespace)
    const hearing: EarListener = {
      answered: (device, answer) => this.answered(device, answer),
      large: (device, to) => this.#large(device, to),
    }
    this.#ears = new Ears(this.#looks.id, hearing, namespace)
  }

  /**
   * This host's tunnels, and what its interface carries. Where that is another than before all paths are new; those of
   * other tunnels are forgotten. Throws PathMtuError.
   */
  begin(tunnels: readonly Tunnel[], interfaceBytes: number): void {
    this.#take(this.#book.begin(tunnels, interfaceBytes))
    this.#ears.on(tunnels)
    this.#pump()
  }

  /** What reaches one peer, in place of what `source` named before; nothing: forget it. */
  want(source: string, objects: readonly KernelObject[]): void {
    const difference = this.#book.want(source, objects)
    this.#take(difference)
    if (difference.anew.length > 0 || !this.#agenda.hasFresh) this.#pump()
  }

  #take({ gone, anew }: { gone: readonly PeerPath[]; anew: readonly PeerPath[] }): void {
    for (const path of [...gone, ...anew]) this.#looks.stop(path)
    for (const path of gone) this.#agenda.remove(path)
    for (const path of anew) this.#agenda.fresh(path)
  }

  /** Devices may have come up that weren't there. Throws PathMtuError. */
  stirred(): void {
    if (this.#ears.open()) this.#pump()
  }

  /** What packets to a subnet may have within the tunnel, where that is less than what the interface leaves. */
  mtuBytes(subnet: Prefix): number | undefined {
    return this.#book.mtuBytes(subnet)
  }

  /** Whether this host has tunnels whose paths are asked about. */
  get isAsking(): boolean {
    return this.#book.hasTunnels
  }

  /** Whether no path is being looked at, and none waits to be for the first time. */
  get isIdle(): boolean {
    return this.#looks.size === 0 && !this.#agenda.hasFresh
  }

  /** All paths that are known to be smaller than the interface. */
  small(): readonly PathChange[] {
    return [...this.#book.small].map((path) => this.#tell(path))
  }

  /** The tunnels that have such paths. */
  smallTunnels(): readonly Tunnel[] {
    return this.#book.smallTunnels()
  }

  /** The least that any path carries, where that is less than the interface, of the outer packet. */
  leastBytes(): number | undefined {
    return this.#book.leastBytes()
  }

  #tell(path: PeerPath): PathChange {
    const { subnet, remote } = path.target
    return { source: path.source, subnet, remote, mtuBytes: this.#book.mtuOf(path) }
  }

  /** Starts what is due, and sets the clock for what comes next. */
  #pump(): void {
    if (!this.#book.devices.some((device) => this.#ears.isOpen(device))) return
    for (;;) {
      const nowMs = performance.now()
      if (!this.#agenda.hasFresh) for (const path of this.#book.awaken()) this.#agenda.fresh(path)
      const next = this.#agenda.next(nowMs)
      if ('waitMs' in next) return this.#wake(nowMs, next.waitMs)
      this.#look(next.path, true)
    }
  }

  /** Not later than that; a clock that is set for sooner stays. */
  #wake(nowMs: number, inMs: number): void {
    const atMs = nowMs + inMs
    if (atMs >= this.#wakesAtMs) return
    clearTimeout(this.#timer)
    this.#wakesAtMs = atMs
    this.#timer = setTimeout(() => {
      this.#wakesAtMs = Infinity
      this.#pump()
    }, inMs)
  }

  /** A large packet is on its way there: does it come through? */
  #large(device: string, to: Mac): void {
    const { path, anew } = this.#book.findByMac(device, to)
    for (const each of anew) this.#agenda.fresh(each)
    if (path?.mayAnswer(performance.now()) === true) this.#look(path, false)
  }

  /** `whole`: as the agenda plans it. */
  #look(path: PeerPath, whole: boolean): void {
    if (this.#ears.isOpen(path.target.device)) this.#looks.begin(path, whole)
    else this.#agenda.looked(path, true, performance.now())
  }

  #looked(path: PeerPath): void {
    this.#agenda.looked(path, path.isSmall(this.#book.interfaceBytes), performance.now())
    this.#pump()
  }

  #learned(path: PeerPath, bytes: number | undefined): void {
    const before = this.#book.mtuOf(path)
    this.#book.learn(path, bytes)
    if (this.#book.mtuOf(path) !== before) this.#options.onChange([this.#tell(path)])
  }

  /** ICMP identifier of our probes. */
  get id(): number {
    return this.#looks.id
  }

  /** What came by a device for our probes. */
  answered(device: string, answer: Answer): void {
    this.#looks.answered(device, answer)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#looks[Symbol.dispose]()
    this.#ears[Symbol.dispose]()
  }
}
