// A hundred packets a second (unless told otherwise) from one pod to another, with a count of those that got lost.
import type { Namespace } from '../../src/sys/namespace.ts'
import { Running } from './process.ts'

export class Traffic implements AsyncDisposable {
  readonly #ping: Running

  private constructor(ping: Running) {
    this.#ping = ping
  }

  /** Returns once the first answers are in. */
  static async start(from: Namespace, to: string, everySeconds = 0.01): Promise<Traffic> {
    const traffic = new Traffic(
      Running.start('ping', ['-n', '-i', `${everySeconds}`, to], { namespace: from }),
    )
    await traffic.#ping.line(/icmp_seq=3 /)
    return traffic
  }

  /** Ends after a few more answers; `lost` counts the sequence numbers that stayed out before them. */
  async stop(): Promise<{ sent: number; lost: number }> {
    const from = this.#ping.lines.length
    const last = sequence(await this.#ping.line(/icmp_seq=\d+ .*time=/, { from: from + 3 }))
    await this.#ping.end('SIGINT')
    const seen = new Set(this.#ping.matching(/time=/).map(sequence))
    let lost = 0
    for (let number = 1; number <= last; number++) if (!seen.has(number)) lost++
    return { sent: last, lost }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ping[Symbol.asyncDispose]()
  }
}

const sequence = (line: string): number => Number(/icmp_seq=(\d+)/.exec(line)?.[1])
