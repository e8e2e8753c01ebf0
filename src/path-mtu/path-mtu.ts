// Knows what the path to each peer carries, by asking: probes go out, echoes come back, and what came is told to whoever
// plans routes. Silence of a peer tells nothing; only a small packet that passes beside a large one that doesn't does.
import type { Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import type { Namespace } from '../sys/namespace.ts'
import { Agenda, PACE, type Pace } from './agenda.ts'
import { Ears } from './ears.ts'
import type { Answer } from './packets.ts'
import { PathBook } from './path-book.ts'
import type { PeerPath } from './peer-path.ts'
import { Probes } from './probes.ts'
import { PathSearch } from './search.ts'
import type { Target, Tunnel } from './target.ts'

/** A search whose path changed under it begins anew at most so often. */
const MOST_RESTARTS = 3
export interface PathMtuOptions {
  /** This thread's unless given. */
  readonly namespace?: Namespace
  /** Told of paths of which something else is known now. */
  readonly onChange: (changes: readonly PathChange[]) => void
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

interface Session {
  readonly path: PeerPath
  search: PathSearch
  restarts: number
  /** What was known before. */
  readonly before: number | undefined
  /** Probes that are not answered yet, of all bursts. */
  readonly sent: Set<number>
  /** Of the last burst alone. */
  readonly burst: Set<number>
  /** It takes the place of the agenda's look, which comes anew after it. */
  isPlanned: boolean
  timer: NodeJS.Timeout | undefined
}

export class PathMtu implements Disposable {
  readonly #options: PathMtuOptions
  readonly #probes: Probes<Session>
  readonly #ears: Ears
  readonly #agenda: Agenda<PeerPath>
  readonly #book: PathBook
  readonly #sessions = new Map<PeerPath, Session>()
  #timer: NodeJS.Timeout | undefined
  #wakesAtMs = Infinity

  constructor(options: PathMtuOptions) {
    this.#options = options
    const { namespace, pace, known } = options
    this.#book = new PathBook(known)
    this.#agenda = new Agenda(pace ?? PACE, performance.now())
    this.#probes = new Probes(namespace)
    const listener = {
      answered: (device: string, answer: Answer) => this.answered(device, answer),
      large: (device: string, to: Mac) => this.#large(device, to),
    }
    this.#ears = new Ears(this.#probes.id, listener, namespace)
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

  /** The ways to one peer, in place of those that `source` named before; none: forget it. */
  want(source: string, targets: readonly Target[]): void {
    this.#take(this.#book.want(source, targets))
    this.#pump()
  }

  #take({ gone, anew }: { gone: readonly PeerPath[]; anew: readonly PeerPath[] }): void {
    for (const path of [...gone, ...anew]) this.#stop(path)
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
    return this.#sessions.size === 0 && !this.#agenda.hasFresh
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
    const path = this.#book.findByMac(device, to)
    if (path?.mayAnswer(performance.now()) === true) this.#look(path, false)
  }

  /** `whole`: whether the path may have grown is asked too. */
  #look(path: PeerPath, whole: boolean): void {
    const running = this.#sessions.get(path)
    if (running !== undefined) {
      running.isPlanned ||= whole
      return
    }
    if (!this.#ears.isOpen(path.target.device)) {
      this.#agenda.looked(path, true, performance.now())
      return
    }
    const session: Session = {
      path,
      search: new PathSearch(path.range(this.#book.interfaceBytes, whole)),
      restarts: 0,
      before: path.bytes,
      sent: new Set(),
      burst: new Set(),
      isPlanned: whole,
      timer: undefined,
    }
    this.#sessions.set(path, session)
    this.#advance(session)
  }

  #advance(session: Session): void {
    clearTimeout(session.timer)
    const { path, search } = session
    const provisional = search.provisionalBytes
    if (provisional !== undefined && provisional < (path.bytes ?? this.#book.interfaceBytes))
      this.#become(path, provisional)
    const step = search.next()
    if (step.kind === 'send') {
      session.burst.clear()
      for (const bytes of step.sizes) this.#send(session, bytes)
      session.timer = setTimeout(() => this.#advance(session), path.waitMs)
      return
    }
    if (step.kind === 'silent' && search.hasPassed && session.restarts < MOST_RESTARTS) {
      // It was another path in the end than at the beginning.
      session.restarts++
      session.search = new PathSearch(path.range(this.#book.interfaceBytes, true))
      this.#advance(session)
      return
    }
    this.#stop(path)
    const nowMs = performance.now()
    if (step.kind === 'silent') path.wasSilent(nowMs)
    this.#become(path, step.kind === 'found' ? step.bytes : session.before)
    if (!session.isPlanned && path.bytes === session.before) return
    this.#agenda.looked(path, path.isSmall(this.#book.interfaceBytes), nowMs)
    this.#pump()
  }

  #become(path: PeerPath, bytes: number | undefined): void {
    const before = this.#book.mtuOf(path)
    this.#book.learn(path, bytes)
    if (this.#book.mtuOf(path) !== before) this.#options.onChange([this.#tell(path)])
  }

  #stop(path: PeerPath): void {
    const session = this.#sessions.get(path)
    if (session === undefined) return
    clearTimeout(session.timer)
    this.#probes.forget(session.sent)
    this.#sessions.delete(path)
  }

  #send(session: Session, bytes: number): void {
    const tunnel = this.#book.tunnelOf(session.path)
    if (tunnel === undefined) return
    const sequence = this.#probes.send(session, tunnel, session.path.target, bytes)
    session.sent.add(sequence)
    session.burst.add(sequence)
  }

  /** ICMP identifier of our probes. */
  get id(): number {
    return this.#probes.id
  }

  /** What came by a device for our probes. */
  answered(device: string, answer: Answer): void {
    const match = this.#probes.match(device, answer)
    if (match === undefined) return
    const { asker: session, bytes, tookMs } = match
    const { path, search, sent, burst } = session
    sent.delete(answer.sequence)
    burst.delete(answer.sequence)
    path.tookMs(tookMs)
    search.answered(bytes)
    // Nothing is left to wait for.
    if (burst.size === 0 || search.isTop) this.#advance(session)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const path of this.#sessions.keys()) this.#stop(path)
    this.#ears[Symbol.dispose]()
    this.#probes[Symbol.dispose]()
  }
}
