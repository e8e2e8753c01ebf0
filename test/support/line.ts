// A line to a TCP server that a test can cut and mend, or hold what goes to the server and let it go:
// `await using line = await Line.to(port)`.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export class Line implements AsyncDisposable {
  readonly #server: Server
  readonly #port: number
  readonly #sockets = new Set<Socket>()
  #cut = false
  /** What waits to go to the server; undefined when it goes at once. */
  #held: (() => void)[] | undefined

  private constructor(port: number) {
    this.#port = port
    this.#server = createServer((near) => this.#join(near))
  }

  static async to(port: number): Promise<Line> {
    const line = new Line(port)
    await new Promise<void>((resolve) => line.#server.listen(0, '127.0.0.1', resolve))
    return line
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** How many connections there are now. */
  get connections(): number {
    return Math.ceil(this.#sockets.size / 2)
  }

  /** Ends every connection, and each new one at once, until `mend`. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#cut = false
  }

  /** The server hears nothing more until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const write of held) write()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(near: Socket): void {
    if (this.#cut) {
      near.destroy()
      return
    }
    const far = connect(this.#port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.on('data', (chunk: Buffer) => {
        if (from === near && this.#held !== undefined) this.#held.push(() => to.write(chunk))
        else to.write(chunk)
      })
      from.on('end', () => to.end())
    }
  }
}
