// Knows what the path to each peer carries, by asking: probes go out, echoes come back, and what came is told to whoever
// plans routes. Silence of a peer tells nothing; only a small packet that passes beside a large one that doesn't does.
import { randomBytes } from 'node:crypto'
import { ipToBytes } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'
import { familyOfPrefix, type Prefix } from '../model/prefix.ts'
import type { Namespace } from '../sys/namespace.ts'
import { Agenda, PACE, type Pace } from './agenda.ts'
import { Ears } from './ears.ts'
import { NONCE_BYTES, writeProbe, type Answer } from './packets.ts'
import { PeerPath } from './peer-path.ts'
import { PathSearch } from './search.ts'
import { ProbeSender } from './sender.ts'
import { isSamePath, type Target, type Tunnel } from './target.ts'

/** A peer that answers nothing is asked again for its traffic's sake after this long. */
const SILENCE_MS = 30_000
/** A search whose path changed under it begins anew at most so often. */
const MOST_RESTARTS = 3
/** The range that Linux takes its own source ports from (ip_local_port_range). */
const SOURCE_PORTS = { from: 32768, to: 61000 } as const

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

interface Sent {
  readonly session: Session
  readonly bytes: number
  readonly nonce: Buffer
  readonly atMs: number
}

export class PathMtu implements Disposable {
  readonly #options: PathMtuOptions
  /** ICMP identifier of our probes. */
  readonly id = randomBytes(2).readUInt16BE()
  readonly #sender: ProbeSender
  readonly #ears: Ears
  readonly #agenda: Agenda<PeerPath>
  #tunnels = new Map<string, Tunnel>()
  readonly #known: Map<Prefix, number>
  #interfaceBytes = 0
  readonly #bySource = new Map<string, readonly PeerPath[]>()
  readonly #bySubnet = new Map<Prefix, PeerPath>()
  /** Those that are known to carry less than the interface. */
  readonly #small = new Set<PeerPath>()
  readonly #sessions = new Map<PeerPath, Session>()
  /** Probes without an answer, by their sequence number. */
  readonly #sent = new Map<number, Sent>()
  #sequence = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: PathMtuOptions) {
    this.#options = options
    const { namespace, pace, known } = options
    this.#known = new Map(known)
    this.#agenda = new Agenda(pace ?? PACE, performance.now())
    this.#sender = new ProbeSender(namespace)
    const listener = {
      answered: (device: string, answer: Answer) => this.answered(device, answer),
      large: (device: string, to: Mac) => this.#large(device, to),
    }
    this.#ears = new Ears(this.id, listener, namespace)
  }

  /**
   * This host's tunnels, and what its interface carries. Where that is another than before all paths are new; those of
   * other tunnels are forgotten. Throws PathMtuError.
   */
  begin(tunnels: readonly Tunnel[], interfaceBytes: number): void {
    const isOther = interfaceBytes !== this.#interfaceBytes
    this.#tunnels = new Map(tunnels.map((tunnel) => [tunnel.device, tunnel]))
    for (const path of this.#bySubnet.values()) if (!this.#tunnels.has(path.target.device)) this.#drop(path)
    this.#ears.on(tunnels)
    if (isOther) {
      const before = this.#interfaceBytes
      this.#interfaceBytes = interfaceBytes
      for (const path of this.#bySubnet.values()) {
        this.#stop(path)
        // What passed whole says nothing of larger packets.
        if (!path.isSmall(Math.min(before, interfaceBytes))) path.bytes = undefined
        this.#sort(path)
        this.#agenda.fresh(path)
      }
    }
    this.#pump()
  }

  /** The ways to one peer, in place of those that `source` named before; none: forget it. */
  want(source: string, targets: readonly Target[]): void {
    const before = this.#bySource.get(source) ?? []
    const paths = targets.flatMap((target) => this.#pathTo(source, target) ?? [])
    for (const path of before) if (!paths.includes(path)) this.#drop(path)
    if (paths.length > 0) this.#bySource.set(source, paths)
    else this.#bySource.delete(source)
    this.#pump()
  }

  #pathTo(source: string, target: Target): PeerPath | undefined {
    const tunnel = this.#tunnels.get(target.device)
    if (tunnel === undefined) return undefined
    const there = this.#bySubnet.get(target.subnet)
    if (there?.source === source && isSamePath(there.target, target)) return there
    const path = new PeerPath(source, target, tunnel.family, tunnel.overheadBytes)
    // A peer that was here before has moved; what another run knew of it is to be confirmed.
    const known = there === undefined ? this.#known.get(target.subnet) : undefined
    this.#known.delete(target.subnet)
    if (known !== undefined) path.bytes = known + tunnel.overheadBytes
    if (there !== undefined) this.#drop(there)
    this.#bySubnet.set(target.subnet, path)
    this.#sort(path)
    this.#agenda.fresh(path)
    return path
  }

  #drop(path: PeerPath): void {
    this.#stop(path)
    this.#agenda.remove(path)
    this.#small.delete(path)
    if (this.#bySubnet.get(path.target.subnet) === path) this.#bySubnet.delete(path.target.subnet)
  }

  /** Devices may have come up that weren't there. Throws PathMtuError. */
  stirred(): void {
    if (this.#ears.open()) this.#pump()
  }

  /** What packets to a subnet may have within the tunnel, where that is less than what the interface leaves. */
  mtuBytes(subnet: Prefix): number | undefined {
    const path = this.#bySubnet.get(subnet)
    if (path !== undefined) return path.mtuBytes(this.#interfaceBytes)
    const known = this.#known.get(subnet)
    if (known === undefined) return undefined
    const family = familyOfPrefix(subnet)
    const tunnel = this.#tunnels.values().find((each) => each.family === family)
    return tunnel !== undefined && known + tunnel.overheadBytes < this.#interfaceBytes ? known : undefined
  }

  /** Whether this host has tunnels whose paths are asked about. */
  get isAsking(): boolean {
    return this.#tunnels.size > 0
  }

  /** All paths that are known to be smaller than the interface. */
  small(): readonly PathChange[] {
    return [...this.#small].map((path) => this.#tell(path))
  }

  /** The least that any path carries, where that is less than the interface, of the outer packet. */
  leastBytes(): number | undefined {
    let least: number | undefined
    for (const { bytes } of this.#small) if (bytes !== undefined && bytes < (least ?? Infinity)) least = bytes
    return least
  }

  /** Whether no path is being looked at, and none waits to be for the first time. */
  get isIdle(): boolean {
    return this.#sessions.size === 0 && !this.#agenda.hasFresh
  }

  /** The tunnels that have such paths. */
  smallTunnels(): readonly Tunnel[] {
    const devices = new Set([...this.#small].map(({ target }) => target.device))
    return [...this.#tunnels.values()].filter(({ device }) => devices.has(device))
  }

  #sort(path: PeerPath): void {
    if (path.isSmall(this.#interfaceBytes)) this.#small.add(path)
    else this.#small.delete(path)
  }

  #tell(path: PeerPath): PathChange {
    const { subnet, remote } = path.target
    return { source: path.source, subnet, remote, mtuBytes: path.mtuBytes(this.#interfaceBytes) }
  }

  /** Starts what is due, and sets the clock for what comes next. */
  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (![...this.#tunnels.keys()].some((device) => this.#ears.isOpen(device))) return
    for (;;) {
      const next = this.#agenda.next(performance.now())
      if ('waitMs' in next) {
        if (next.waitMs < Infinity) this.#timer = setTimeout(() => this.#pump(), next.waitMs)
        return
      }
      this.#look(next.path, true)
    }
  }

  /** A large packet is on its way there: does it come through? */
  #large(device: string, to: Mac): void {
    // Asked seldom: an index of thousands would cost more.
    const path = this.#bySubnet.values().find(({ target }) => target.device === device && target.mac === to)
    if (path === undefined || performance.now() - path.silentAtMs < SILENCE_MS) return
    this.#look(path, false)
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
      search: new PathSearch(path.range(this.#interfaceBytes, whole)),
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
    if (provisional !== undefined && provisional < (path.bytes ?? this.#interfaceBytes))
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
      session.search = new PathSearch(path.range(this.#interfaceBytes, true))
      this.#advance(session)
      return
    }
    this.#stop(path)
    const nowMs = performance.now()
    if (step.kind === 'silent') path.silentAtMs = nowMs
    this.#become(path, step.kind === 'found' ? step.bytes : session.before)
    if (!session.isPlanned && path.bytes === session.before) return
    this.#agenda.looked(path, path.isSmall(this.#interfaceBytes), nowMs)
    this.#pump()
  }

  #become(path: PeerPath, bytes: number | undefined): void {
    const before = path.mtuBytes(this.#interfaceBytes)
    path.bytes = bytes
    this.#sort(path)
    if (path.mtuBytes(this.#interfaceBytes) !== before) this.#options.onChange([this.#tell(path)])
  }

  #stop(path: PeerPath): void {
    const session = this.#sessions.get(path)
    if (session === undefined) return
    clearTimeout(session.timer)
    for (const sequence of session.sent) this.#sent.delete(sequence)
    this.#sessions.delete(path)
  }

  #send(session: Session, bytes: number): void {
    const { target } = session.path
    const tunnel = this.#tunnels.get(target.device)
    if (tunnel === undefined) return
    this.#sequence = (this.#sequence + 1) & 0xffff
    const sequence = this.#sequence
    const nonce = randomBytes(NONCE_BYTES)
    const range = SOURCE_PORTS.to - SOURCE_PORTS.from
    const sourcePort = SOURCE_PORTS.from + (nonce.readUInt16BE(0) % range)
    this.#sent.set(sequence, { session, bytes, nonce, atMs: performance.now() })
    session.sent.add(sequence)
    session.burst.add(sequence)
    const probe = { id: this.id, sequence, nonce, sourcePort, bytes }
    this.#sender.send(target.remote, (into) => writeProbe(into, tunnel, target, probe))
  }

  /** Counts if it is from the very peer that was asked, and knows what only who got the probe can know. */
  answered(device: string, { id, sequence, nonce, from }: Answer): void {
    const sent = this.#sent.get(sequence)
    if (sent === undefined || id !== this.id) return
    const { session, bytes, atMs } = sent
    const { path, search, burst } = session
    if (path.target.device !== device || !sent.nonce.equals(nonce)) return
    if (!Buffer.from(ipToBytes(path.target.vtep)).equals(from)) return
    this.#sent.delete(sequence)
    session.sent.delete(sequence)
    burst.delete(sequence)
    path.tookMs(performance.now() - atMs)
    search.answered(bytes)
    // Nothing is left to wait for.
    if (burst.size === 0 || search.isTop) this.#advance(session)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const path of this.#sessions.keys()) this.#stop(path)
    this.#ears[Symbol.dispose]()
    this.#sender[Symbol.dispose]()
  }
}
