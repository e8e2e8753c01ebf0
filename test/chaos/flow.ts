// Twenty packets a second from one pod to another for as long as the lab lives: when the last answer came, and between
// which answers packets were lost.
import { Running } from '../support/process.ts'
import type { Family } from './family.ts'
import type { Site } from './site.ts'

const INTERVAL_MS = 50
const ANSWER = /^\[(\d+\.\d+)\] .*icmp_seq=(\d+) .*time=([\d.]+) ms/
/** ping counts in 16 bits. */
const WRAP = 0x1_0000

/** Packets lost in a row, sent some time between two that were answered; by Date.now(). */
export interface Gap {
  readonly lost: number
  readonly fromMs: number
  readonly toMs: number
}

export class Flow implements AsyncDisposable {
  readonly name: string
  readonly #ping: Running
  /** When each answered packet was sent, by Date.now(). */
  readonly #sentAt = new Map<number, number>()
  #read = 0
  #last = 0

  private constructor(name: string, ping: Running) {
    this.name = name
    this.#ping = ping
  }

  static start(family: Family, from: Site, to: Site): Flow {
    const [pod] = from.host.pods
    if (pod === undefined) throw new Error(`${from.name} has no pod yet`)
    const words = ['-n', '-D', '-i', `${INTERVAL_MS / 1000}`, to.podIp(family)]
    const name = `${family} ${from.name}→${to.name}`
    return new Flow(name, Running.start('ping', words, { namespace: pod.namespace }))
  }

  /** When the last packet was sent that has been answered, by Date.now(). */
  get answeredMs(): number {
    this.#take()
    return this.#sentAt.get(this.#last) ?? 0
  }

  /** Packets up to the last answered one. */
  result(): { sent: number; gaps: readonly Gap[] } {
    this.#take()
    const gaps: Gap[] = []
    let [before, beforeMs] = [0, 0]
    for (const [number, atMs] of [...this.#sentAt].toSorted(([a], [b]) => a - b)) {
      const lost = number - before - 1
      // What was sent before the first answer was sent before the network was up.
      if (before > 0 && lost > 0) gaps.push({ lost, fromMs: beforeMs, toMs: atMs })
      ;[before, beforeMs] = [number, atMs]
    }
    return { sent: this.#last, gaps }
  }

  #take(): void {
    const { lines } = this.#ping
    for (; this.#read < lines.length; this.#read++) {
      const [, at, text, took] = ANSWER.exec(lines[this.#read] ?? '') ?? []
      if (text === undefined) continue
      let number = Number(text)
      while (number < this.#last - WRAP / 2) number += WRAP
      this.#sentAt.set(number, Number(at) * 1000 - Number(took))
      if (number > this.#last) this.#last = number
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#ping[Symbol.asyncDispose]()
  }
}
