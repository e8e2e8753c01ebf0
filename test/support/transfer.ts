// One long TCP transfer between two pods, and how long it stood still at most.
import type { Pod } from './segment.ts'
import { Running } from './process.ts'

const PORT = 5201
/** iperf3 tells what has arrived so often, and each time that nothing has. */
const INTERVAL_SECONDS = 0.5
const PROGRESS = /^\[ *\d+\] +(\d+\.\d+)-(\d+\.\d+) +sec +([\d.]+) [KMG]?Bytes/

const SOMETHING = /^\[ *\d+\] .* sec +(?!0\.00 )[\d.]+ [KMG]?Bytes/

export class Transfer implements AsyncDisposable {
  readonly #server: Running
  readonly #client: Running

  private constructor(server: Running, client: Running) {
    this.#server = server
    this.#client = client
  }

  /** From one pod to an address of another. Returns once something has arrived. */
  static async start(from: Pod, to: Pod, ip: string, port = PORT): Promise<Transfer> {
    const listen = ['-s', '-1', '-p', `${port}`, '-B', ip, '-i', `${INTERVAL_SECONDS}`, '--forceflush']
    const server = Running.start('iperf3', listen, { namespace: to.namespace })
    await server.line(/Server listening/)
    const send = ['-c', ip, '-p', `${port}`, '-t', '600', '-b', '40M']
    const transfer = new Transfer(server, Running.start('iperf3', send, { namespace: from.namespace }))
    await transfer.goesOn(1)
    return transfer
  }

  /** Returns once something has arrived in so many more intervals. */
  async goesOn(intervals = 3): Promise<void> {
    const from = this.#server.lines.length
    let seen = 0
    for (let next = from; seen < intervals; seen++) {
      const line = await this.#server.line(SOMETHING, { from: next, withinSeconds: 30 })
      next = this.#server.lines.indexOf(line, next) + 1
    }
  }

  /** The longest time in which nothing arrived, but for two intervals that it may have begun or ended in. */
  get longestPauseSeconds(): number {
    let [longest, current] = [0, 0]
    for (const line of this.#server.lines) {
      const bytes = bytesOf(line)
      if (bytes === undefined) continue
      current = bytes === 0 ? current + INTERVAL_SECONDS : 0
      longest = Math.max(longest, current)
    }
    return longest
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]()
    await this.#server[Symbol.asyncDispose]()
  }
}

function bytesOf(line: string): number | undefined {
  const amount = PROGRESS.exec(line)?.[3]
  return amount === undefined ? undefined : Number(amount)
}
