// Looks at paths: sends a search's bursts of probes, hears their answers, and tells what came of it. Of each path there is
// one look at a time.
import type { Namespace } from '../sys/namespace.ts'
import type { Answer } from './packets.ts'
import type { PathBook } from './path-book.ts'
import type { PeerPath } from './peer-path.ts'
import { Probes } from './probes.ts'
import { PathSearch } from './search.ts'

/** A search whose path changed under it begins anew at most so often. */
const MOST_RESTARTS = 3

export interface LookListener {
  /** The largest outer packet that comes through is so large, as far as is known yet; undefined: nothing is known. */
  learned(path: PeerPath, bytes: number | undefined): void
  /** `wasPlanned`: it took the place of the agenda's look. `isChanged`: something else is known than before. */
  ended(path: PeerPath, how: { readonly wasPlanned: boolean; readonly isChanged: boolean }): void
}

interface Look {
  readonly path: PeerPath
  search: PathSearch
  restarts: number
  /** What was known before. */
  readonly before: number | undefined
  /** Probes that are not answered yet, of all bursts. */
  readonly sent: Set<number>
  /** Of the last burst alone. */
  readonly burst: Set<number>
  isPlanned: boolean
  timer: NodeJS.Timeout | undefined
}

export class Looks implements Disposable {
  readonly #book: PathBook
  readonly #listener: LookListener
  readonly #probes: Probes<Look>
  readonly #open = new Map<PeerPath, Look>()

  constructor(book: PathBook, listener: LookListener, namespace: Namespace | undefined) {
    this.#book = book
    this.#listener = listener
    this.#probes = new Probes(namespace)
  }

  /** ICMP identifier of the probes. */
  get id(): number {
    return this.#probes.id
  }

  get size(): number {
    return this.#open.size
  }

  /** `whole`: as the agenda plans it, where whether the path may have grown is asked too. */
  begin(path: PeerPath, whole: boolean): void {
    const running = this.#open.get(path)
    if (running !== undefined) {
      running.isPlanned ||= whole
      return
    }
    const look: Look = {
      path,
      search: new PathSearch(path.range(this.#book.interfaceBytes, whole)),
      restarts: 0,
      before: path.bytes,
      sent: new Set(),
      burst: new Set(),
      isPlanned: whole,
      timer: undefined,
    }
    this.#open.set(path, look)
    this.#advance(look)
  }

  stop(path: PeerPath): void {
    const look = this.#open.get(path)
    if (look === undefined) return
    clearTimeout(look.timer)
    this.#probes.forget(look.sent)
    this.#open.delete(path)
  }

  #advance(look: Look): void {
    clearTimeout(look.timer)
    const { path, search } = look
    const provisional = search.provisionalBytes
    if (provisional !== undefined && provisional < (path.bytes ?? this.#book.interfaceBytes))
      this.#listener.learned(path, provisional)
    const step = search.next()
    if (step.kind === 'send') {
      look.burst.clear()
      for (const bytes of step.sizes) this.#send(look, bytes)
      look.timer = setTimeout(() => this.#advance(look), path.waitMs)
      return
    }
    if (step.kind === 'silent' && search.hasPassed && look.restarts < MOST_RESTARTS) {
      // It was another path in the end than at the beginning.
      look.restarts++
      look.search = new PathSearch(path.range(this.#book.interfaceBytes, true))
      this.#advance(look)
      return
    }
    this.stop(path)
    if (step.kind === 'silent') path.wasSilent(performance.now())
    this.#listener.learned(path, step.kind === 'found' ? step.bytes : look.before)
    this.#listener.ended(path, { wasPlanned: look.isPlanned, isChanged: path.bytes !== look.before })
  }

  #send(look: Look, bytes: number): void {
    const tunnel = this.#book.tunnelOf(look.path)
    if (tunnel === undefined) return
    const sequence = this.#probes.send(look, tunnel, look.path.target, bytes)
    look.sent.add(sequence)
    look.burst.add(sequence)
  }

  /** What came by a device for our probes. */
  answered(device: string, answer: Answer): void {
    const match = this.#probes.match(device, answer)
    if (match === undefined) return
    const { asker: look, bytes, tookMs } = match
    const { path, search, sent, burst } = look
    sent.delete(answer.sequence)
    burst.delete(answer.sequence)
    path.tookMs(tookMs)
    search.answered(bytes)
    // Nothing is left to wait for.
    if (burst.size === 0 || search.isTop) this.#advance(look)
  }

  [Symbol.dispose](): void {
    for (const path of this.#open.keys()) this.stop(path)
    this.#probes[Symbol.dispose]()
  }
}
