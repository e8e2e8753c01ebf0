// Probes on their way, and whether an answer is to one of them: from the very peer that was asked, with what only who
// got the probe can know.
import { randomBytes } from 'node:crypto'
import { ipToBytes } from '../model/ip.ts'
import type { Namespace } from '../sys/namespace.ts'
import { NONCE_BYTES, writeProbe, type Answer } from './packets.ts'
import { ProbeSender } from './sender.ts'
import type { Target, Tunnel } from './target.ts'

/** The range that Linux takes its own source ports from (ip_local_port_range). */
const SOURCE_PORTS = { from: 32768, to: 61000 } as const

interface Sent<A> {
  readonly asker: A
  readonly target: Target
  readonly bytes: number
  readonly nonce: Buffer
  readonly atMs: number
}

export class Probes<A> implements Disposable {
  /** ICMP identifier of them all. */
  readonly id = randomBytes(2).readUInt16BE()
  readonly #sender: ProbeSender
  readonly #sent = new Map<number, Sent<A>>()
  #sequence = 0

  /** In this thread's namespace unless another is given. */
  constructor(namespace?: Namespace) {
    this.#sender = new ProbeSender(namespace)
  }

  /** Sends one of so many bytes on `asker`'s behalf; its number, by which it can be forgotten. */
  send(asker: A, tunnel: Tunnel, target: Target, bytes: number): number {
    this.#sequence = (this.#sequence + 1) & 0xffff
    const sequence = this.#sequence
    const nonce = randomBytes(NONCE_BYTES)
    // Of several ways to a peer each probe takes any.
    const sourcePort = SOURCE_PORTS.from + (nonce.readUInt16BE(0) % (SOURCE_PORTS.to - SOURCE_PORTS.from))
    this.#sent.set(sequence, { asker, target, bytes, nonce, atMs: performance.now() })
    const probe = { id: this.id, sequence, nonce, sourcePort, bytes }
    this.#sender.send(target.remote, (into) => writeProbe(into, tunnel, target, probe))
    return sequence
  }

  /** Whose probe this answers, of how many bytes it was and how long it took; the second answer to one is none. */
  match(device: string, { id, sequence, nonce, from }: Answer) {
    const sent = this.#sent.get(sequence)
    if (sent === undefined || id !== this.id) return undefined
    const { asker, target, bytes, atMs } = sent
    if (target.device !== device || !sent.nonce.equals(nonce)) return undefined
    if (!Buffer.from(ipToBytes(target.vtep)).equals(from)) return undefined
    this.#sent.delete(sequence)
    return { asker, bytes, tookMs: performance.now() - atMs }
  }

  forget(sequences: Iterable<number>): void {
    for (const sequence of sequences) this.#sent.delete(sequence)
  }

  [Symbol.dispose](): void {
    this.#sender[Symbol.dispose]()
  }
}
