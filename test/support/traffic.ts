// A hundred packets a second (unless told otherwise) from one pod to another, with a count of those that got lost.
import type { Namespace } from '../../src/sys/namespace.ts'
import { Running } from './process.ts'

/** A packet that waits on a busy processor may be overtaken by so many others, and is not lost. */
const MOST_OVERTAKING = 100
const ANSWER = /icmp_seq=\d+ .*time=/

export class Traffic implements AsyncDisposable {
  readonly #ping: Running
  /** The first that was answered: links that have just come up may swallow some before it. */
  #first = 1

  private constructor(ping: Running) {
    this.#ping = ping
  }

  /** Returns once the first answers are in. */
  static async start(from: Namespace, to: string, everySeconds = 0.01): Promise<Traffic> {
    const traffic = new Traffic(
      Running.start('ping', ['-n', '-i', `${everySeconds}`, to], { namespace: from }),
    )
    traffic.#first = sequence(await traffic.#ping.line(ANSWER))
    await traffic.#answers(2, 0)
    return traffic
  }

  /** Ends after a few more answers; `lost` counts the sequence numbers that stayed out before them. */
  async stop(): Promise<{ sent: number; lost: number }> {
    const last = sequence(await this.#answers(4, this.#ping.lines.length))
    for (let more = 0; more < MOST_OVERTAKING && this.#missing(last) > 0; more++)
      await this.#answers(1, this.#ping.lines.length)
    await this.#ping.end('SIGINT')
    return { sent: last, lost: this.#missing(last) }
  }

  /** The last of so many answers from this line of output on. */
  async #answers(count: number, from: number): Promise<string> {
    const { lines } = this.#ping
    for (let next = from; ;) {
      const answer = await this.#ping.line(ANSWER, { from: next })
      if (--count <= 0) return answer
      next = lines.indexOf(answer, next) + 1
    }
  }

  #missing(last: number): number {
    const seen = new Set(this.#ping.matching(ANSWER).map(sequence))
    let missing = 0
    for (let number = this.#first; number <= last; number++) if (!seen.has(number)) missing++
    return missing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ping[Symbol.asyncDispose]()
  }
}

const sequence = (line: string): number => Number(/icmp_seq=(\d+)/.exec(line)?.[1])
